// Starts the page and connects its parts: filters, charts, table, panel and address show the same selection.

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
  for (const [state, indexes] of Object.entries(audit.since)) for (const index of indexes) rows[index].since = state;
  const search = document.getElementById("search");
  const clear = document.getElementById("clear");
  const said = document.getElementById("shown");
  const filters = new Filters(rows, changed);
  const nameOf = (row) => row.key ?? row.model;
  const rowOf = (name) => (name ? rows.find((row) => nameOf(row) === name) ?? null : null);
  let left = rows;
  let current = null; // the row whose panel is open
  let beside = null; // the row that is shown beside it
  let opener = null; // what had the focus before
  let restoring = false;

  const columns = rows.length ? new Columns(() => remember("columns")) : null;
  const table = rows.length ? await makeTable(rows, columns, (index) => open(rows[index]), () => remember("sort")) : null;

  // The view as it is now, into the address.
  function remember(change) {
    if (restoring) return;
    writeAddress({
      model: current ? nameOf(current) : "",
      beside: current && beside ? nameOf(beside) : "",
      search: search.value.trim(),
      sort: table ? sortOf(table) : "",
      columns: columns?.text ?? "",
      score: scoreText(filters.brush),
      chosen: filters.chosen,
    }, change);
  }

  // The view that the address names; what it names and is not there is left out.
  function restore() {
    const view = readAddress();
    restoring = true;
    search.value = view.search;
    filters.restore(view.chosen, view.search, scoreBrush(view.score));
    columns?.restore(view.columns);
    if (table) sortBy(table, view.sort);
    showBrush(filters.brush);
    restoring = false;
    show(rowOf(view.model), rowOf(view.beside));
  }

  function changed(change) {
    left = rows.filter((row) => filters.matches(row));
    table?.setFilter((row) => filters.matches(row));
    if (change !== "score") showScores(rows.filter((row) => filters.matches(row, "brush")));
    said.value = `${countText(left.length)} of ${countText(rows.length)} ${rows.length === 1 ? "model" : "models"}`;
    clear.disabled = !filters.any;
    drawLater();
    remember(change);
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
    drawScores(rows.filter((row) => filters.matches(row, "brush")), rows, select, (index) => open(rows[index]));
    showBrush(filters.brush);
    drawLater();
  }

  function select(brush) {
    filters.select(brush);
    showBrush(brush);
  }

  function show(row, other = null) {
    current = row ?? current;
    beside = row && other !== row ? other : null;
    if (row) showPanel(row, beside, audit, { close: () => panel.close(), step, beside: compare }, row ? alike(row) : []);
    else {
      asked = null;
      if (panel.open) panel.close();
    }
  }

  function open(row) {
    if (!panel.open) opener = document.activeElement;
    show(row);
    remember("model");
  }

  // Shows a model beside the one that is open, or none for a name that is not there.
  function compare(name) {
    const other = rowOf(name);
    if (name && !other) return;
    show(current, other);
    remember("beside");
  }

  // Names of other models, those first that have most in common with one.
  function alike(row) {
    const shared = (other) => ["experiment", "environment", "algorithm", "cause"].filter((name) => other[name] === row[name]).length;
    const others = rows.filter((other) => other !== row && shared(other) > 0);
    return others.sort((a, b) => shared(b) - shared(a)).slice(0, 200).map(nameOf);
  }

  // Opens the model that is "by" rows further in the table, among those that are shown.
  function step(by) {
    const order = table.getData("active");
    const next = order[order.findIndex((row) => row.index === current.index) + by];
    if (next) open(next);
  }

  panel.addEventListener("close", () => {
    const row = document.querySelector(`.tabulator-row[data-index="${current?.index}"]`);
    current = null;
    beside = null;
    remember("model");
    tip.hidden = true;
    (row ?? opener)?.focus();
  });
  panel.addEventListener("click", (event) => {
    if (event.target === panel) panel.close(); // a click on the backdrop
  });

  search.addEventListener("input", () => filters.search(search.value));
  clear.addEventListener("click", () => {
    search.value = "";
    filters.clear();
    showBrush(null);
  });
  document.getElementById("download").addEventListener("click", () => downloadCsv(table.getData("active")));
  document.addEventListener("click", (event) => {
    const link = event.target.closest('a[href^="#model="]'); // opens the model and leaves the rest of the view as it is
    const row = link && rowOf(new URLSearchParams(link.hash.slice(1).replaceAll("+", "%2B")).get("model"));
    if (!row) return;
    event.preventDefault();
    open(row);
  });
  window.addEventListener("hashchange", restore);
  darkness.addEventListener("change", drawAll);
  const without = rows.filter((row) => row.x === null).length;
  const printed = document.getElementById("printed");
  window.addEventListener("beforeprint", () => {
    printed.textContent = left.length > PRINTED ? `The first ${countText(PRINTED)} of ${countText(left.length)} models are printed; all are in models.csv.` : "";
  });
  const unplaced = document.getElementById("unplaced");
  if (unplaced && without && without < rows.length) {
    unplaced.textContent = `${countText(without)} of ${countText(rows.length)} models ${without === 1 ? "has" : "have"} no score: nothing is claimed, or what a random policy earns is not known.`;
    unplaced.hidden = false;
  }

  drawAll();
  if (holder) new ResizeObserver(() => {
    if (fitScores()) showScores(rows.filter((row) => filters.matches(row, "brush")));
  }).observe(holder);
  restore();
  document.body.dataset.ready = "true";
  performance.mark("interactive");
}

start();
