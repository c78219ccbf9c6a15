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
  const all = { ink: styleOf("text"), soft: styleOf("soft"), onMark: styleOf("card"), ...signals };
  const known = view.getState().signals;
  for (const [key, value] of Object.entries(all)) if (key in known) view.signal(key, value);
  if (width !== null) view.width(width);
  view.background(styleOf("card")); // so that a saved figure is as it is here
  container.classList.toggle("dark", darkness.matches);
  view.runAsync().then(() => letScroll(container));
  container.firstElementChild?.setAttribute("role", "img");
  container.firstElementChild?.setAttribute("aria-label", container.dataset.label ?? name);
  views.set(container, view);
  offerToSave(container, name);
  return view;
}

// A figure that is wider than its place is scrolled, so it must be reachable with the keyboard.
function letScroll(container) {
  if (container.scrollWidth > container.clientWidth) container.tabIndex = 0;
  else container.removeAttribute("tabindex");
}

// Buttons under a figure that save it as it is shown.
function offerToSave(container, name) {
  if (container.nextElementSibling?.classList.contains("save")) return;
  const label = (container.dataset.label ?? name).split(";")[0];
  const file = `${name}${container.dataset.file ? `-${container.dataset.file}` : ""}`.replace(/[^\w.-]+/g, "-").slice(0, 80);
  const save = { SVG: async (view) => new Blob([await view.toSVG()], { type: "image/svg+xml" }), PNG: async (view) => pngOf(await view.toCanvas(2)) };
  const buttons = Object.entries(save).map(([kind, content]) => element("button", {
    type: "button", "aria-label": `Save as ${kind}: ${label}`, onclick: async () => saveFile(await content(views.get(container)), `${file}.${kind.toLowerCase()}`),
  }, kind));
  container.after(element("div", { class: "save" }, "Save as ", buttons));
}

function pngOf(canvas) {
  return new Promise((resolve) => { canvas.toBlob(resolve, "image/png"); });
}

function saveFile(content, name) {
  const link = element("a", { href: URL.createObjectURL(content), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
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

// :param members: points of one mark, as scorePoints makes them
// :param all: every row, by its index
function scoreTip(members, all) {
  if (members.length > 1) {
    const names = members.slice(0, 5).map(({ index }) => all[index].model);
    const verdicts = [...Map.groupBy(members, ({ verdict }) => verdict)].map(([verdict, alike]) => `${countText(alike.length)} ${verdict}`);
    return { models: verdicts.join(", "), "": `${names.join(", ")}${members.length > 5 ? ", …" : ""}` };
  }
  const row = all[members[0].index];
  const { model, environment, cause } = row;
  return { model, verdict: verdictText(row), environment, before: rewardText(row.before, row.before_spread), after: rewardText(row.after, row.after_std), cause };
}

// How much room there is for the points, in pixels.
function scoreRoom() {
  const { clientWidth, clientHeight } = scores.container;
  return [Math.max(240, clientWidth - 62), Math.max(260, clientHeight - 46)];
}

// Marks in reverse order: the worst models, which come first in the page, are drawn last, on top.
function scorePoints(rows) {
  const { left, right, bottom, top } = SETTINGS.window;
  const [width, height] = scoreRoom();
  const points = rows.filter((row) => row.x !== null).map(({ index, x, y, at, verdict }) => ({ index, x, y, at, verdict, kind: verdict }));
  const size = points.length > 2000 ? 16 : points.length > 300 ? 26 : 60;
  return merged(points, ({ x, y }) => [((x - left) / (right - left)) * width, ((y - bottom) / (top - bottom)) * height], size).reverse();
}

function fitScores() {
  const [width, height] = scoreRoom();
  return scores.view?.width(width).height(height);
}

// :param all: every row, by its index
function drawScores(rows, all, onBrush, onClick) {
  const points = scorePoints(rows);
  scores.shown = "";
  if (!points.length) return;
  scores.view = draw("scores", scores.container, { models: points, sectors: sectors(points), band: SETTINGS.band }, { signals: { opacity: 0.75, ...SETTINGS.window }, describe: ({ members }) => (members ? scoreTip(members, all) : null) });
  fitScores();
  scores.view.addSignalListener("brush", (_name, value) => {
    clearTimeout(scores.told);
    const sorted = (range) => [...range].sort((a, b) => a - b);
    const brush = value.x ? { x: sorted(value.x), y: sorted(value.y) } : null;
    if (scoreText(brush) !== scores.shown) scores.told = setTimeout(() => onBrush(brush), 30); // a drag is many signals
    scores.shown = scoreText(brush);
  });
  scores.view.addEventListener("click", (_event, item) => {
    const members = item?.datum?.members ?? [];
    if (members.length === 1) onClick(members[0].index);
    else if (members.length) onBrush({ x: around(members.map(({ x }) => x)), y: around(members.map(({ y }) => y)) });
  });
}

// From a little less than the least to a little more than the most, so that rounding leaves nothing out.
function around(values) {
  return [Math.min(...values) - 0.002, Math.max(...values) + 0.002];
}

function showScores(rows) {
  if (!scores.view) return;
  const points = scorePoints(rows);
  scores.view.data("models", points).data("sectors", sectors(points)).run();
}

// Draws a selection of scores, or takes it away where it is null.
function showBrush(brush) {
  if (!scores.view || scoreText(brush) === scores.shown) return;
  scores.shown = scoreText(brush);
  const pixels = (axis) => (brush === null ? [0, 0] : brush[axis].map((score) => scores.view.scale(axis)(score)));
  scores.view.signal("brush_x_1", pixels("x")).signal("brush_y_1", pixels("y")).run(); // _1: in pixels
}
