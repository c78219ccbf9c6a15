// The table of models: Tabulator draws the rows that are in view.

const REACH = 3.2; // range of an interval's drawing, in margins on either side of zero
const PRINTED = 300; // most models that are printed
const ROW = 37; // height in pixels, as is HEAD
const HEAD = 46;
const ALL = 25; // most models of which every row is in view
const SHOWN = 14.5; // rows in view where there are more; half a row shows that
const SVG = "http://www.w3.org/2000/svg";

function badge(row) {
  if (row.suspect) return element("span", { class: `badge ${row.verdict} suspect`, title: `${row.verdict}: ${SETTINGS.meanings.suspect}` }, "suspect");
  if (row.fragile) return element("span", { class: `badge ${row.verdict} fragile`, title: `${SETTINGS.meanings[row.verdict]} Its environment is not reproducible.` }, row.verdict);
  return element("span", { class: `badge ${row.verdict}`, title: SETTINGS.meanings[row.verdict] }, row.verdict);
}

function reward(mean, std) {
  if (mean === null || std === null) return numberText(mean);
  return element("span", {}, numberText(mean), " ", element("small", {}, `\u00b1 ${numberText(std)}`));
}

function inMargins(value, margin) {
  if (margin === 0) return Math.sign(value) * (value === 0 ? 0 : Infinity);
  return value / margin;
}

// Draws the confidence interval of a difference, in margins, over a band that marks the margin.
function interval(row) {
  if (row.low === null || row.high === null || row.margin === null || row.difference === null) return MISSING;
  const [low, middle, high] = [row.low, row.difference, row.high].map((value) => Math.max(-REACH, Math.min(REACH, inMargins(value, row.margin))));
  const drawing = document.createElementNS(SVG, "svg");
  drawing.setAttribute("viewBox", `${-REACH} -.6 ${2 * REACH} 1.2`);
  drawing.setAttribute("class", row.verdict);
  const add = (tag, attributes) => {
    const made = document.createElementNS(SVG, tag);
    for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
    drawing.append(made);
  };
  add("path", { class: "band", d: "M-1-.6h2v1.2h-2z" });
  add("path", { class: "zero", d: "M0-.6v1.2" });
  if (middle <= -REACH) add("path", { d: "M-2.6-.35L-3.1 0l.5 .35" });
  else if (middle >= REACH) add("path", { d: "M2.6-.35L3.1 0l-.5 .35" });
  else {
    add("path", { d: `M${low} 0H${high}` });
    add("circle", { cx: middle, cy: 0, r: 0.2 });
  }
  return drawing;
}

function intervalText(row) {
  if (row.low === null || row.high === null || row.margin === null) return "";
  return `${signedText(row.low)} to ${signedText(row.high)}, margin \u00b1${numberText(row.margin)}`;
}

const BY_CHANCE = "Of the models whose loss or gain is at least as clear as this one's, the share that is to be expected by chance";

const numeric = (field) => ({ sorter: "number", sorterParams: { alignEmptyValues: "bottom" }, hozAlign: "right", headerHozAlign: "right", field });
const byText = { sorter: "string", sorterParams: { locale: "en", alignEmptyValues: "bottom" } };
const shown = (build) => (cell) => build(cell.getRow().getData());

// Every column there is; those with "extra" are shown only where they are asked for.
function columnsOf(rows) {
  const consistent = rows.some((row) => row.verdict === "consistent");
  const text = (title, field, build, width) => ({ title, field, ...byText, formatter: shown((row) => clamped(build(row))), ...width });
  return [
    { title: "Verdict", field: "verdict", sorter: (_a, _b, a, b) => a.getData().index - b.getData().index, formatter: shown((row) => badge(row)), width: 120 },
    text("Model", "model", (row) => row.model, { widthGrow: 7, minWidth: PHONE.matches ? 124 : 178, cssClass: "name" }),
    text("Algorithm", "algorithm", (row) => row.algorithm, { width: 88 }),
    text("Environment", "environment", environmentText, { widthGrow: 2, minWidth: 114 }),
    text("Experiment", "experiment", (row) => row.experiment, { widthGrow: 2, minWidth: 110, extra: true }),
    text("Source", "source", (row) => row.source, { width: 96, extra: true }),
    { title: "n_envs", ...numeric("n_envs"), formatter: shown((row) => (row.n_envs ? countText(row.n_envs) : MISSING)), width: 76, extra: true },
    { title: "Seed", ...numeric("seed"), formatter: shown((row) => (row.seed === null ? MISSING : String(row.seed))), width: 76, extra: true },
    text("Claim", "kind", (row) => row.kind, { width: 96, extra: true }),
    { title: "Random policy", ...numeric("random"), formatter: shown((row) => numberText(row.random)), width: 92, extra: true },
    { title: "Before, mean \u00b1 std", ...numeric("before"), formatter: shown((row) => reward(row.before, row.before_spread)), width: 113 },
    { title: "Reload, mean \u00b1 std", ...numeric("after"), formatter: shown((row) => reward(row.after, row.after_std)), width: 113 },
    { title: "Difference", ...numeric("difference"), formatter: shown((row) => signedText(row.difference)), width: 84 },
    { title: "Interval in \u00b1 margin", ...numeric("margins"), field: "interval", hozAlign: "center", headerHozAlign: "center", formatter: shown(interval), tooltip: (_event, cell) => intervalText(cell.getRow().getData()), width: 96 },
    { title: "Loss not excluded", ...numeric("largest_loss"), formatter: shown((row) => (row.largest_loss === null ? MISSING : lossText(row))), width: 120, extra: true },
    { title: "Episodes", ...numeric("n_episodes"), formatter: shown((row) => countText(row.n_episodes)), width: 74 },
    { title: "By chance, q", ...numeric("q"), formatter: shown((row) => probabilityText(row.q)), headerTooltip: BY_CHANCE, width: 92 },
    text("Gap", "gap", (row) => row.gap, { width: 96, extra: true }),
    { title: consistent ? "Cause, or what may be lost" : "Cause", field: "cause", ...byText, formatter: shown(cause), widthGrow: 3, minWidth: 126 },
    text("Reason", "reason", (row) => row.reason, { widthGrow: 6, minWidth: 220, extra: true }),
  ].map((column) => ({ headerSortTristate: false, resizable: false, vertAlign: "middle", ...column, cssClass: column.cssClass ?? column.hozAlign }));
}

const PHONE = matchMedia("(max-width: 600px)");
const ON_A_PHONE = ["verdict", "model", "difference"];

// Which columns are shown: those of "columns" in the address, or else the usual ones, of which a phone has few.
class Columns {
  constructor(changed) {
    this.chosen = null; // a set of fields; null for the usual ones
    this.changed = changed;
  }

  // :param definitions: of all columns, in their order
  join(table, definitions) {
    this.table = table;
    this.definitions = definitions;
    this.boxes = new Map(definitions.map(({ field, title }) => {
      const box = element("input", { type: "checkbox", disabled: field === "model", onchange: () => this.toggle(field) });
      return [field, { box, label: element("label", {}, box, title.replace(", mean \u00b1 std", "")) }];
    }));
    const holder = document.getElementById("columns");
    holder.lastElementChild.append(...[...this.boxes.values()].map(({ label }) => label));
    document.addEventListener("click", (event) => {
      if (!holder.contains(event.target)) holder.open = false;
    });
    holder.addEventListener("keydown", (event) => {
      if (event.key !== "Escape" || !holder.open) return;
      holder.open = false;
      holder.firstElementChild.focus();
    });
    PHONE.addEventListener("change", () => this.show());
  }

  get usual() {
    return PHONE.matches ? ON_A_PHONE : this.definitions.filter(({ extra }) => !extra).map(({ field }) => field);
  }

  get text() {
    return this.chosen === null ? "" : [...this.chosen].join(",");
  }

  toggle(field) {
    const shown = new Set(this.chosen ?? this.usual);
    if (!shown.delete(field)) shown.add(field);
    this.choose([...shown]);
    this.changed();
  }

  restore(text) {
    this.choose(text ? text.split(",") : this.usual);
  }

  choose(fields) {
    const known = this.definitions.map(({ field }) => field).filter((field) => field === "model" || fields.includes(field));
    const usual = known.length === this.usual.length && this.usual.every((field) => known.includes(field));
    this.chosen = usual ? null : new Set(known);
    this.show();
  }

  show() {
    const shown = this.chosen ?? new Set(this.usual);
    let width = 0;
    let changed = false;
    for (const { field, width: fixed, minWidth } of this.definitions) {
      const column = this.table.getColumn(field);
      this.boxes.get(field).box.checked = shown.has(field);
      if (shown.has(field)) width += fixed ?? minWidth;
      if (column.isVisible() === shown.has(field)) continue;
      changed = true;
      if (shown.has(field)) column.show();
      else column.hide();
    }
    document.getElementById("table").style.minWidth = `${width}px`;
    if (changed) this.table.redraw(true);
  }
}

// The column that the table is sorted by, with a minus before it for the largest first; "" for the order of concern.
function sortOf(table) {
  const [sorter] = table.getSorters();
  return sorter ? `${sorter.dir === "desc" ? "-" : ""}${sorter.field}` : "";
}

function sortBy(table, text) {
  const field = text.replace(/^-/, "");
  const known = table.getColumns().some((column) => column.getField() === field);
  if ((known ? text : "") === sortOf(table)) return;
  if (known) table.setSort(field, text.startsWith("-") ? "desc" : "asc");
  else {
    table.setSort("verdict", "asc"); // the order that the rows came in
    table.clearSort();
  }
}

// A text on two lines at most, which may break after punctuation; its tooltip has the whole text.
function clamped(text, title = text) {
  const parts = text.split(/(?<=[-_/.:])/).flatMap((part) => [part, element("wbr")]);
  return element("span", { class: "clamp", title }, parts);
}

// The cell of the cause; of an error also the reason, because there are no rewards to show; of a model that is
// consistent with its claim how large a loss is not excluded.
function cause(row) {
  if (row.verdict === "consistent") return clamped(`up to ${lossText(row)} may be lost`, row.reason);
  if (row.verdict === "error") return clamped(`${row.cause || "error"}: ${row.reason}`, row.reason);
  return row.cause ? clamped(row.cause, row.reason) : "";
}

// :param columns: takes the table, to show and hide its columns
// :param open: called with the index of a row's model
// :param sorted: called when the table was sorted
function makeTable(rows, columns, open, sorted) {
  for (const row of rows) row.interval = row.difference === null || row.margin === null ? null : inMargins(row.difference, row.margin);
  const many = rows.length > ALL;
  const definitions = columnsOf(rows);
  const table = new Tabulator("#table", {
    data: rows,
    index: "index",
    columns: definitions.map(({ extra, ...column }) => ({ ...column, visible: !extra })),
    layout: "fitColumns",
    autoResize: false, // it makes rows anew for a change of height, too, and they lose the focus
    height: many ? HEAD + ROW * SHOWN : false,
    renderVertical: many ? "virtual" : "basic",
    rowHeight: ROW,
    headerSortElement: "<span aria-hidden=\"true\"></span>",
    placeholder: "No model matches.",
    printAsHtml: true,
    printStyled: false,
    printRowRange: () => table.getRows("active").slice(0, PRINTED),
    rowFormatter: (row) => {
      const made = row.getElement();
      made.tabIndex = 0;
      made.dataset.index = row.getData().index;
    },
  });
  const holder = document.getElementById("table");
  table.on("rowClick", (event, row) => {
    if (!getSelection().toString() || event.detail === 0) open(row.getData().index);
  });
  holder.addEventListener("keydown", (event) => {
    const row = event.target.closest(".tabulator-row");
    if (!row || event.target !== row) return;
    if (event.key === "Enter") {
      event.preventDefault(); // else it also presses the button that then has the focus
      open(Number(row.dataset.index));
    }
    const next = { ArrowDown: "nextElementSibling", ArrowUp: "previousElementSibling" }[event.key];
    if (next && row[next]) {
      event.preventDefault();
      row[next].focus();
    }
  });
  const fit = (found) => {
    if (many) table.setHeight(Math.max(HEAD + 2 * ROW, HEAD + ROW * Math.min(SHOWN, found.length) + 1));
  };
  return new Promise((resolve) => table.on("tableBuilt", () => {
    // Each row can have the focus; the element that holds them is no tab stop of its own.
    holder.querySelector(".tabulator-tableholder").removeAttribute("tabindex");
    let width = holder.clientWidth;
    new ResizeObserver(() => {
      if (holder.clientWidth !== width) table.redraw();
      width = holder.clientWidth;
    }).observe(holder);
    table.on("dataFiltered", (_filters, found) => fit(found));
    let order = "";
    table.on("dataSorted", () => { // also of rows that were filtered
      if (sortOf(table) === order) return;
      order = sortOf(table);
      sorted();
    });
    columns.join(table, definitions);
    resolve(table);
  }));
}

const FIELDS = {
  model: "model", verdict: "verdict", suspect: "suspect", algorithm: "algorithm", environment: "environment", group: "experiment", source: "source",
  train_n_envs: "n_envs", train_seed: "seed", claim_kind: "kind", claim_mean: "before", claim_std: "before_std", claim_n: "claim_n",
  reload_mean_reward: "after", reload_std_reward: "after_std", difference: "difference", ci_low: "low", ci_high: "high", margin: "margin",
  largest_loss: "largest_loss", largest_loss_share: "loss_share", n_episodes: "n_episodes", q: "q", cause: "cause", cause_share: "share", gap: "gap", reason: "reason",
};

// A cell of a CSV file; a text that a spreadsheet would take for a formula gets an apostrophe in front, as in models.csv.
function csvCell(value) {
  if (value === null || value === undefined) return "";
  if (typeof value === "number") return String(value);
  if (typeof value === "boolean") return value ? "True" : "False"; // as in models.csv
  const text = /^(\s*[=+\-@＝＋－＠]|[\t\r\n])/.test(value) ? `'${value}` : value;
  return /[",\r\n]/.test(text) ? `"${text.replaceAll("\"", "\"\"")}"` : text;
}

function downloadCsv(rows) {
  const lines = [Object.keys(FIELDS), ...rows.map((row) => Object.values(FIELDS).map((field) => row[field]))];
  const text = lines.map((line) => line.map(csvCell).join(",")).join("\r\n");
  saveFile(new Blob([`${text}\r\n`], { type: "text/csv" }), "models.csv");
}
