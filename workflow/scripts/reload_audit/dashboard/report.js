"use strict";
// Sorts, searches and filters the rows that are in the page; nothing is loaded, nothing is computed anew.
(() => {
  const find = (selector) => [...document.querySelectorAll(selector)];
  const body = document.querySelector("#models tbody");
  let rows = find("#models tbody tr"); // in the order shown
  const heads = find("#models thead th");
  const tiles = find(".tile");
  const groups = find(".group");
  const causes = find(".cause");
  const points = find(".plot a");
  const search = document.getElementById("search");
  const clear = document.getElementById("clear");
  const shown = document.getElementById("shown");
  const none = document.getElementById("none");
  const more = document.getElementById("more");
  let most = Number(more.dataset.most); // rows on show: the layout of thousands takes seconds
  const tip = document.getElementById("tip");
  const nameOf = new Map(groups.map((group) => [group.dataset.group, group.textContent]));
  const texts = new Map(rows.map((row) => [row, `${row.textContent} ${nameOf.get(row.dataset.group) ?? ""}`.toLowerCase()]));
  const place = new Map(rows.map((row, index) => [row, index]));
  const rowOf = (point) => document.getElementById(point.getAttribute("href").slice(1));

  function filter() {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    const pressed = (buttons, name) => buttons.filter((one) => one.ariaPressed === "true").map((one) => one.dataset[name]);
    const verdicts = pressed(tiles, "verdict");
    const folders = pressed(groups, "group");
    const reasons = pressed(causes, "cause");
    const matching = new Set();
    for (const row of rows) {
      const text = texts.get(row);
      const wanted = (verdicts.length === 0 || verdicts.includes(row.className))
        && (folders.length === 0 || folders.includes(row.dataset.group))
        && (reasons.length === 0 || (row.dataset.causes ?? "").split(" ").some((cause) => reasons.includes(cause)));
      if (wanted && words.every((word) => text.includes(word))) matching.add(row);
      row.hidden = !matching.has(row) || matching.size > most;
    }
    for (const point of points) point.classList.toggle("dim", !matching.has(rowOf(point)));
    const left = matching.size;
    more.hidden = left <= most;
    more.textContent = `Show ${(left - most).toLocaleString("en")} more`;
    shown.value = `${left.toLocaleString("en")} of ${rows.length.toLocaleString("en")} ${rows.length === 1 ? "model" : "models"}`;
    none.hidden = left > 0;
    clear.disabled = words.length === 0 && verdicts.length === 0 && folders.length === 0 && reasons.length === 0;
  }

  function showEvery() {
    most = Infinity;
    filter();
  }

  function showAll() {
    search.value = "";
    for (const button of [...tiles, ...groups, ...causes]) button.ariaPressed = "false";
    filter();
  }

  function reveal(row) {
    if (row.hidden) showAll();
    row.hidden = false; // alone, where it is beyond those on show
  }

  // The lines of a fix that a row holds, put into the fix of the cause's example.
  function complete(pre) {
    const lines = document.querySelector(`#cause-${pre.dataset.of} pre`).textContent.split("\n");
    const own = pre.textContent.split("\n");
    for (const [index, number] of pre.dataset.lines.split(" ").filter(Boolean).entries()) lines[number] = own[index];
    pre.textContent = lines.join("\n");
    delete pre.dataset.lines;
  }

  function makeCopyable(pre) {
    const button = Object.assign(document.createElement("button"), { type: "button", textContent: "Copy" });
    button.addEventListener("click", async () => {
      try {
        await navigator.clipboard.writeText(pre.textContent);
        button.textContent = "Copied";
      } catch {
        getSelection().selectAllChildren(pre); // where a page may not write to the clipboard
      }
    });
    const box = Object.assign(document.createElement("div"), { className: "code" });
    pre.replaceWith(box);
    box.append(pre, button);
  }

  function unfold(details) {
    for (const pre of details.querySelectorAll("pre[data-lines]")) complete(pre);
    for (const pre of details.querySelectorAll(":not(.code) > pre")) makeCopyable(pre);
  }

  // What is written is what is sorted by, so the order never contradicts what can be read.
  function key(row, column) {
    const cell = row.cells[column];
    if (column === 0) return place.get(row);
    if (!heads[column].classList.contains("n")) return cell.textContent || null;
    const value = parseFloat(cell.dataset.value ?? cell.textContent.replace(/[,<+\s]/g, "").replaceAll("\u2212", "-"));
    return Number.isNaN(value) ? null : value;
  }

  function compare(a, b) {
    return typeof a === "number" ? a - b : a.localeCompare(b, "en", { numeric: true });
  }

  function sort(head) {
    const column = heads.indexOf(head);
    const direction = head.ariaSort === "ascending" ? -1 : 1;
    for (const other of heads) other.removeAttribute("aria-sort");
    head.ariaSort = direction > 0 ? "ascending" : "descending";
    const keys = new Map(rows.map((row) => [row, key(row, column)]));
    rows.sort((a, b) => {
      const [left, right] = [keys.get(a), keys.get(b)];
      if (left === null || right === null) return (left === null) - (right === null); // what is missing comes last
      return direction * compare(left, right);
    });
    body.append(...rows);
    filter();
  }

  function explain(point) {
    const [verdict, model, , , train, reload, difference] = [...rowOf(point).cells].map((cell) => cell.textContent.trim());
    const lines = [model, verdict, `${heads[4].textContent.split(" ")[0].toLowerCase()} ${train}`, `reload ${reload}`, `difference ${difference}`];
    tip.replaceChildren(...lines.map((line) => Object.assign(document.createElement("div"), { textContent: line })));
    tip.hidden = false;
    const at = point.getBoundingClientRect();
    const left = Math.min(at.right + 10, document.documentElement.clientWidth - tip.offsetWidth - 8);
    tip.style.left = `${left + window.scrollX}px`;
    tip.style.top = `${Math.max(at.top - tip.offsetHeight - 6, 4) + window.scrollY}px`;
  }

  for (const head of heads) head.firstElementChild.addEventListener("click", () => sort(head));
  for (const button of [...tiles, ...groups, ...causes]) {
    button.addEventListener("click", () => {
      button.ariaPressed = button.ariaPressed === "true" ? "false" : "true";
      filter();
    });
  }
  for (const point of points) {
    point.addEventListener("pointerenter", () => explain(point));
    point.addEventListener("pointerleave", () => { tip.hidden = true; });
  }
  document.addEventListener("click", (event) => {
    const link = event.target.closest("a[href^='#']");
    if (!link) return;
    const row = rowOf(link);
    if (texts.has(row)) reveal(row);
    const folded = row?.closest("details");
    if (folded) folded.open = true;
  });
  document.addEventListener("toggle", (event) => { if (event.target.open) unfold(event.target); }, true);
  search.addEventListener("input", filter);
  clear.addEventListener("click", showAll);
  more.addEventListener("click", showEvery);
  window.addEventListener("beforeprint", () => {
    for (const folded of find(".more, .fix")) folded.open = true;
    showEvery();
  });
  if (rows.length) filter(); // a reloaded page may still hold the last search
  const linked = document.getElementById(location.hash.slice(1));
  if (texts.has(linked)) reveal(linked);
})();
