// Rows of models from their columns, numbers as text, and elements.

// Turns columns into one row a model. A reward or score after reload is stored only if it differs from the one before.
function rowsOf(columns) {
  const names = Object.keys(columns);
  const value = (name, index) => {
    const column = columns[name];
    return column.words ? column.words[column.at[index]] : column[index];
  };
  const count = names.length ? (columns.model ?? []).length : 0;
  return Array.from({ length: count }, (_, index) => {
    const row = { index };
    for (const name of names) row[name] = value(name, index);
    if (row.same) Object.assign(row, { after: row.before, after_std: row.before_std });
    row.y ??= row.x;
    row.suspect = row.suspect === 1;
    // What is written after the ± of a claim, as by spread() in audit.py: of a trend its standard error.
    row.before_spread = row.kind === "trend" && row.before_std !== null && row.claim_n ? row.before_std / Math.sqrt(row.claim_n) : row.before_std;
    row.causes = [row.cause, ...(row.other_causes || [])].filter(Boolean);
    return row;
  });
}

const MINUS = "\u2212"; // as wide as a plus, unlike the hyphen
const MISSING = "\u2013";

const FORMATS = [0, 1, 2, 3].map((digits) => new Intl.NumberFormat("en", { minimumFractionDigits: digits, maximumFractionDigits: digits }));

// About four significant digits, like number() in number_format.py for the static parts of the page.
function numberText(value) {
  if (value === null || value === undefined) return MISSING;
  const size = Math.abs(value);
  if (size === 0) return "0";
  if (size < 0.001 || size >= 1e12) return value.toExponential(1).replace("-", MINUS).replace("e\u2212", "e-");
  const decimals = size >= 1000 ? 0 : size >= 100 ? 1 : size >= 1 ? 2 : 3;
  return FORMATS[decimals].format(value).replace("-", MINUS);
}

function signedText(value) {
  return (value > 0 ? "+" : "") + numberText(value);
}

function probabilityText(value) {
  if (value === null || value === undefined) return MISSING;
  return value < 0.0001 ? "< 0.0001" : String(Number(value.toPrecision(2)));
}

function rewardText(mean, std) {
  return mean === null || std === null ? numberText(mean) : `${numberText(mean)} \u00b1 ${numberText(std)}`;
}

function percentText(share) {
  const percent = 100 * share;
  return `${percent < 10 ? Number(percent.toPrecision(2)) : countText(Math.round(percent))} %`;
}

function verdictText(row) {
  return row.suspect ? `${row.verdict} (suspect)` : row.verdict;
}

// 620.1 (61 %): the largest loss that is not excluded, in reward and as a share of what was learned.
function lossText(row, ofWhat = "") {
  return numberText(row.largest_loss) + (row.loss_share === null ? "" : ` (${percentText(row.loss_share)}${ofWhat})`);
}

function countText(value) {
  return value === null || value === undefined ? MISSING : value.toLocaleString("en");
}

// The environment that a model was trained in, and the one that it ran in where that is another.
function environmentText(row) {
  return row.ran ? `${row.environment}, ran as ${row.ran}` : row.environment;
}

// An element with attributes and children; texts become text, never markup.
function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (value !== null && value !== undefined && value !== false) made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== ""));
  return made;
}
