// Charts: Vega draws specifications that were compiled from Vega-Lite, in the light or dark colours of the page.

let charts = {}; // Vega specifications as JSON texts, by name
const darkness = matchMedia("(prefers-color-scheme: dark)");
const views = new Map(); // Vega views, by the element that holds them
const tip = document.getElementById("tip");

function styleOf(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
}

function look() {
  const [text, soft, line, grid] = ["text", "soft", "line", "grid"].map(styleOf);
  const font = getComputedStyle(document.body).fontFamily;
  const axis = { labelColor: soft, titleColor: soft, domainColor: line, tickColor: line, gridColor: grid };
  return {
    axis: { ...axis, labelFont: font, titleFont: font, titleFontWeight: 500, labelFontSize: 11, titleFontSize: 12 },
    title: { color: text, font },
    header: { labelColor: text },
    legend: { labelColor: text, titleColor: text, labelFont: font, labelFontSize: 12 },
    style: { "group-title": { fill: text, font }, cell: { stroke: line, fill: "transparent" } },
    text: { font },
  };
}

function specification(name) {
  const swap = (text, [light, dark]) => text.replaceAll(light, dark);
  return JSON.parse(darkness.matches ? Object.entries(SETTINGS.onDark).reduce(swap, charts[name]) : charts[name]);
}

// :param data: rows, by the name that the chart gives them
// :param signals: values of the chart's own parameters
// :param describe: turns the tooltip value of a mark into an object of names and texts
function draw(name, container, data, { signals = {}, width = null, describe = (value) => value } = {}) {
  views.get(container)?.finalize();
  const view = new vega.View(vega.parse(specification(name), look(), { ast: true }), {
    expr: vegaInterpreter.expressionInterpreter,
    renderer: "canvas",
    container,
    hover: true,
    logLevel: vega.Error,
  });
  view.tooltip((_handler, event, _item, value) => explain(event, value && describe(value)));
  for (const [key, rows] of Object.entries(data)) view.data(key, rows);
  const all = { ink: styleOf("text"), soft: styleOf("soft"), ...signals };
  const known = view.getState().signals;
  for (const [key, value] of Object.entries(all)) if (key in known) view.signal(key, value);
  if (width !== null) view.width(width);
  view.run();
  container.firstElementChild?.setAttribute("role", "img");
  container.firstElementChild?.setAttribute("aria-label", container.dataset.label ?? name);
  views.set(container, view);
  return view;
}

function explain(event, value) {
  tip.hidden = !value;
  if (!value) return;
  const rows = Object.entries(value).filter(([, text]) => text !== "" && text !== null && text !== "null");
  tip.replaceChildren(...rows.map(([name, text]) => element("div", {}, element("span", {}, `${name.replaceAll("_", " ")} `), String(text))));
  const left = Math.min(event.clientX + 14, document.documentElement.clientWidth - tip.offsetWidth - 8);
  const above = event.clientY - tip.offsetHeight - 12;
  tip.style.left = `${Math.max(8, left)}px`;
  tip.style.top = `${above > 4 ? above : event.clientY + 16}px`;
}

// :ivar shown: the selection that the chart shows, as text
// :ivar told: the timer that will tell of a new one
const scores = { container: document.getElementById("scores"), view: null, shown: "", told: 0 };

function scorePoint({ index, x, y, at, verdict }) {
  return { index, x, y, at, verdict };
}

function scoreTip(row) {
  const { model, environment, cause } = row;
  return { model, verdict: verdictText(row), environment, before: rewardText(row.before, row.before_spread), after: rewardText(row.after, row.after_std), cause };
}

// Points in reverse order: the worst models, which come first in the page, are drawn last, on top.
function scorePoints(rows) {
  return rows.filter((row) => row.x !== null).map(scorePoint).reverse();
}

function fitScores() {
  const { clientWidth, clientHeight } = scores.container;
  return scores.view?.width(Math.max(240, clientWidth - 62)).height(Math.max(260, clientHeight - 46));
}

// :param all: every row, by its index
function drawScores(rows, all, onBrush, onClick) {
  const points = scorePoints(rows);
  scores.shown = "";
  if (!points.length) return;
  const size = points.length > 2000 ? 12 : points.length > 300 ? 26 : 60;
  const opacity = points.length > 2000 ? 0.5 : 0.75;
  scores.view = draw("scores", scores.container, { models: points, band: SETTINGS.band }, { signals: { size, opacity, left: SETTINGS.left }, describe: ({ index }) => (index === undefined ? null : scoreTip(all[index])) });
  fitScores();
  scores.view.addSignalListener("brush", (_name, value) => {
    clearTimeout(scores.told);
    const sorted = (range) => [...range].sort((a, b) => a - b);
    const brush = value.x ? { x: sorted(value.x), y: sorted(value.y) } : null;
    if (scoreText(brush) !== scores.shown) scores.told = setTimeout(() => onBrush(brush), 30); // a drag is many signals
    scores.shown = scoreText(brush);
  });
  scores.view.addEventListener("click", (_event, item) => {
    if (item?.datum?.index !== undefined) onClick(item.datum.index);
  });
}

function showScores(rows) {
  scores.view?.data("models", scorePoints(rows)).run();
}

// Draws a selection of scores, or takes it away where it is null.
function showBrush(brush) {
  if (!scores.view || scoreText(brush) === scores.shown) return;
  scores.shown = scoreText(brush);
  const pixels = (axis) => (brush === null ? [0, 0] : brush[axis].map((score) => scores.view.scale(axis)(score)));
  scores.view.signal("brush_x_1", pixels("x")).signal("brush_y_1", pixels("y")).run(); // _1: in pixels
}

// How many panels of a width (pixels) fit in a row.
function panelsInARow(container, width) {
  return Math.max(1, Math.floor((container.clientWidth + 20) / width));
}

function drawExperiments(audit, rows) {
  const shown = new Set(rows.map((row) => row.experiment));
  const some = (found) => found.filter((row) => shown.has(row.group));
  const grid = document.getElementById("grid");
  const seeds = document.getElementById("seeds");
  if (!grid) return;
  const cells = some(audit.cells);
  const conditions = new Set(cells.map((cell) => cell.condition)).size;
  const width = 82 * conditions + 90;
  draw("grid", grid, { cells }, { signals: { columns: panelsInARow(grid, width) } });
  draw("seeds", seeds, { seeds: some(audit.seeds) }, { signals: { columns: panelsInARow(seeds, 290) } });
}
