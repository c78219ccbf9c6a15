"use strict";
// Sorts, searches and filters the rows that are in the page; nothing is loaded, nothing is computed anew.
(() => {
  const find = (selector) => [...document.querySelectorAll(selector)];
  const body = document.querySelector("#models tbody");
  const rows = find("#models tbody tr");
  const heads = find("#models thead th");
  const tiles = find(".tile");
  const points = find(".plot a");
  const search = document.getElementById("search");
  const clear = document.getElementById("clear");
  const shown = document.getElementById("shown");
  const none = document.getElementById("none");
  const tip = document.getElementById("tip");
  const texts = new Map(rows.map((row) => [row, row.textContent.toLowerCase()]));
  const place = new Map(rows.map((row, index) => [row, index]));
  const rowOf = (point) => document.getElementById(point.getAttribute("href").slice(1));

  function filter() {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    const verdicts = tiles.filter((tile) => tile.ariaPressed === "true").map((tile) => tile.dataset.verdict);
    for (const row of rows) {
      const text = texts.get(row);
      const wanted = verdicts.length === 0 || verdicts.includes(row.className);
      row.hidden = !(wanted && words.every((word) => text.includes(word)));
    }
    for (const point of points) point.classList.toggle("dim", rowOf(point).hidden);
    const left = rows.filter((row) => !row.hidden).length;
    shown.value = `${left.toLocaleString("en")} of ${rows.length.toLocaleString("en")} ${rows.length === 1 ? "model" : "models"}`;
    none.hidden = left > 0;
    clear.disabled = words.length === 0 && verdicts.length === 0;
  }

  function showAll() {
    search.value = "";
    for (const tile of tiles) tile.ariaPressed = "false";
    filter();
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
    const ordered = [...rows].sort((a, b) => {
      const [left, right] = [keys.get(a), keys.get(b)];
      if (left === null || right === null) return (left === null) - (right === null); // what is missing comes last
      return direction * compare(left, right);
    });
    body.append(...ordered);
  }

  function explain(point) {
    const [verdict, model, , , train, reload, difference] = [...rowOf(point).cells].map((cell) => cell.textContent.trim());
    const lines = [model, verdict, `train ${train}`, `reload ${reload}`, `difference ${difference}`];
    tip.replaceChildren(...lines.map((line) => Object.assign(document.createElement("div"), { textContent: line })));
    tip.hidden = false;
    const at = point.getBoundingClientRect();
    const left = Math.min(at.right + 10, document.documentElement.clientWidth - tip.offsetWidth - 8);
    tip.style.left = `${left + window.scrollX}px`;
    tip.style.top = `${Math.max(at.top - tip.offsetHeight - 6, 4) + window.scrollY}px`;
  }

  for (const head of heads) head.firstElementChild.addEventListener("click", () => sort(head));
  for (const tile of tiles) {
    tile.addEventListener("click", () => {
      tile.ariaPressed = tile.ariaPressed === "true" ? "false" : "true";
      filter();
    });
  }
  for (const point of points) {
    point.addEventListener("pointerenter", () => explain(point));
    point.addEventListener("pointerleave", () => { tip.hidden = true; });
    point.addEventListener("click", () => { if (rowOf(point).hidden) showAll(); });
  }
  search.addEventListener("input", filter);
  clear.addEventListener("click", showAll);
  window.addEventListener("beforeprint", () => { for (const more of find("details")) more.open = true; });
  if (rows.length) filter(); // a reloaded page may still hold the last search
})();
