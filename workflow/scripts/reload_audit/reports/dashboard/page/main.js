// Starts the page and connects its parts: filters, charts, table and panel show the same selection.

// The model named in the address (#model=name), or "": untrusted, because anybody can write a link.
function linked() {
  try {
    return decodeURIComponent((/^#model=(.*)$/s.exec(location.hash) ?? [])[1] ?? "");
  } catch {
    return "";
  }
}

async function start() {
  const holder = document.getElementById("scores");
  const [audit] = await Promise.all([
    unpackJson("audit"),
    unpackJson("charts").then((found) => { charts = found; }),
    runLibrary("tabulator"),
    runLibrary("vega").then(() => runLibrary("vega-interpreter")),
  ]);
  const rows = rowsOf(audit.columns);
  for (const index of audit.fragile) rows[index].fragile = true;
  const search = document.getElementById("search");
  const clear = document.getElementById("clear");
  const said = document.getElementById("shown");
  const filters = new Filters(rows, changed);
  const nameOf = (row) => row.key ?? row.model;
  const address = (row) => `#model=${encodeURIComponent(nameOf(row))}`;
  const open = (index) => { location.hash = address(rows[index]); };
  let left = rows;

  const table = rows.length ? await makeTable(rows, open) : null;

  function changed(redraw) {
    left = rows.filter((row) => filters.matches(row));
    table?.setFilter((row) => filters.matches(row));
    if (redraw) showScores(rows.filter((row) => filters.matches(row, "brush")));
    said.value = `${countText(left.length)} of ${countText(rows.length)} ${rows.length === 1 ? "model" : "models"}`;
    clear.disabled = !filters.any;
    drawLater();
  }

  // The charts of experiments, further down, are drawn when they come into view, and again when the selection changed.
  const later = document.getElementById("grid");
  let stale = true;
  let seen = false;
  function drawLater() {
    stale = true;
    if (seen) redrawLater();
  }
  function redrawLater() {
    if (stale) drawExperiments(audit, left);
    stale = false;
  }
  if (later) {
    new IntersectionObserver(([entry]) => {
      seen = entry.isIntersecting;
      if (seen) redrawLater();
    }, { rootMargin: "300px" }).observe(later);
    window.addEventListener("beforeprint", redrawLater);
  }

  function drawAll() {
    if (!holder) return;
    drawScores(rows.filter((row) => filters.matches(row, "brush")), rows, (brush) => filters.select(brush), open);
    drawLater();
  }

  function follow() {
    const name = linked();
    const row = name && rows.find((one) => nameOf(one) === name);
    if (row) current = row.index;
    if (row) showPanel(row, audit, { close: () => panel.close(), step });
    else if (panel.open) panel.close();
  }

  // Opens the model that is "by" rows further in the table, among those that are shown.
  function step(by) {
    const order = table.getData("active");
    const at = order.findIndex((row) => row.index === current);
    const next = order[at + by];
    if (next) open(next.index);
  }

  let opener = null;
  let current = null; // index of the model whose panel is open
  panel.addEventListener("close", () => {
    history.replaceState(null, "", location.pathname + location.search);
    tip.hidden = true;
    const row = document.querySelector(`.tabulator-row[data-index="${current}"]`);
    (row ?? opener)?.focus();
  });
  panel.addEventListener("click", (event) => {
    if (event.target === panel) panel.close(); // a click on the backdrop
  });

  search.addEventListener("input", () => filters.search(search.value));
  clear.addEventListener("click", () => {
    search.value = "";
    filters.brush = null;
    filters.clear();
    drawAll();
  });
  document.getElementById("download").addEventListener("click", () => downloadCsv(table.getData("active")));
  window.addEventListener("hashchange", () => { opener = document.activeElement; follow(); });
  darkness.addEventListener("change", drawAll);
  const without = rows.filter((row) => row.x === null).length;
  const printed = document.getElementById("printed");
  window.addEventListener("beforeprint", () => {
    printed.textContent = left.length > PRINTED ? `The first ${countText(PRINTED)} of ${countText(left.length)} models are printed; all are in models.csv.` : "";
  });
  const unplaced = document.getElementById("unplaced");
  if (unplaced && without && without < rows.length) {
    unplaced.textContent = `${countText(without)} of ${countText(rows.length)} models have no score: nothing is claimed of them, or what a random policy earns is not known.`;
    unplaced.hidden = false;
  }

  drawAll();
  if (holder) new ResizeObserver(() => fitScores()?.run()).observe(holder);
  if (search.value) filters.search(search.value); // a reloaded page may still hold the last search
  follow();
  document.body.dataset.ready = "true";
  performance.mark("interactive");
}

start();
