// What is shown, as it stands in the address: #model=name&verdict=degraded&search=words&sort=-after&columns=verdict,model.
// Everything read from it is untrusted, because anybody can write a link.

const VIEW = { model: "", beside: "", search: "", sort: "", columns: "", score: "" };

function readAddress() {
  const known = new URLSearchParams(location.hash.slice(1).replaceAll("+", "%2B"));
  const view = Object.fromEntries(Object.keys(VIEW).map((name) => [name, known.get(name) ?? ""]));
  return { ...view, chosen: Object.fromEntries(Object.keys(KINDS).map((kind) => [kind, known.getAll(kind)])) };
}

function addressOf(view) {
  const said = Object.keys(VIEW).filter((name) => view[name]).map((name) => [name, view[name]]);
  for (const kind of Object.keys(KINDS)) for (const name of view.chosen[kind]) said.push([kind, name]);
  return said.map(([name, text]) => `${name}=${encodeURIComponent(text).replaceAll("%2C", ",")}`).join("&");
}

// Changes of one kind that follow each other, such as letters of a search, are one step back.
const ONE_STEP = new Set(["search", "score"]);
let lastChange = "";

// :param change: what has changed: a name of VIEW, or a kind of filter
function writeAddress(view, change) {
  const hash = addressOf(view);
  if (hash === location.hash.slice(1)) return;
  const replaced = change === lastChange && ONE_STEP.has(change);
  history[replaced ? "replaceState" : "pushState"](null, "", hash ? `#${hash}` : location.pathname + location.search);
  lastChange = change;
}

// A selection of scores as text, "0.61,0.98,0.5,1" (x from and to, y from and to), and back; null for any other text.
function scoreText(brush) {
  return brush === null ? "" : [...brush.x, ...brush.y].map((value) => Number(value.toPrecision(4))).join(",");
}

function scoreBrush(text) {
  const numbers = text === "" ? [] : text.split(",").map(Number);
  return numbers.length === 4 && numbers.every(Number.isFinite) ? { x: numbers.slice(0, 2), y: numbers.slice(2) } : null;
}
