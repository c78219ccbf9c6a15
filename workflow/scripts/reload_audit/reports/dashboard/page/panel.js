// One model's own page: a panel with a link, #model=name; or two beside each other, &beside=name.

const panel = document.getElementById("panel");
const chunks = new Map();

// Looks up a name from an untrusted file among own properties only, so that "constructor" finds nothing.
function own(object, name) {
  return Object.hasOwn(object, name) ? object[name] : undefined;
}

async function detailsOf(index, audit) {
  if (index >= audit.detailed) return null;
  const number = Math.floor(index / audit.chunk);
  if (!chunks.has(number)) chunks.set(number, unpackJson(`details-${number}`));
  return (await chunks.get(number))[index % audit.chunk] ?? null;
}

function code(text) {
  const pre = element("pre", { tabindex: 0 }, text); // scrollable, so it must be reachable with the keyboard
  const copy = element("button", { type: "button", class: "copy" }, "Copy");
  copy.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(pre.textContent);
      copy.textContent = "Copied";
    } catch {
      getSelection().selectAllChildren(pre); // select it instead, where a page may not write to the clipboard
    }
  });
  return element("div", { class: "code" }, pre, copy);
}

function part(name, title, ...content) {
  const said = content.flat().filter(Boolean);
  return said.length ? element("section", { "data-part": name }, element("h3", {}, title), said) : null;
}

function list(sentences) {
  return sentences.length ? element("ul", {}, sentences.map((sentence) => element("li", {}, sentence))) : null;
}

function terms(pairs) {
  const known = pairs.filter(([, text]) => text);
  return known.length ? element("dl", {}, known.flatMap(([title, text]) => [element("dt", {}, title), element("dd", {}, text)])) : null;
}

function chart(label, row) {
  return element("div", { class: "chart", "data-label": `${label}, ${row.model}`, "data-file": row.model });
}

function claimPart(row, details) {
  const over = (n) => (n === null ? "" : ` over ${countText(n)} episodes`);
  const before = `${rewardText(row.before, row.before_spread)}${row.kind === "trend" ? "" : over(row.claim_n)}`;
  const kind = row.kind.replace("in place", "in place: in the training process, on the environments trained in");
  return part("claim", "Before and after", terms([
    ["Before", row.before === null ? "nothing says what it earned" : `${before}${kind ? `, ${kind}` : ""}`],
    ["After reload", row.after === null ? "" : `${rewardText(row.after, row.after_std)}${over(row.n_episodes)}`],
    ["Difference", row.difference === null ? "" : `${signedText(row.difference)} (${intervalText(row)}${row.q === null ? "" : `, q ${probabilityText(row.q)}`})`],
    ["Loss not excluded", row.largest_loss && row.verdict !== "degraded" ? `up to ${lossText(row, " of what was learned")}` : ""],
    ["Random policy", row.random === null ? "" : numberText(row.random)],
    ["Gap", row.gap],
    ...((details?.claims?.length ?? 0) > 1 || (row.kind !== "in place" && details?.claims?.length) ? [["Claims", list(details.claims)]] : []),
    ...(details?.details ?? []),
    ["Log", row.verdict === "error" ? details?.log : ""],
  ]));
}

function causesPart(details, audit) {
  const found = (details?.causes ?? []).map(({ cause: name, certainty, evidence, fix }) => {
    const known = own(audit.causes, name) ?? {};
    const title = known.page ? element("a", { href: `../${known.page}` }, name) : name;
    const said = certainty.map((text) => element("span", { class: "sure" }, text));
    return element("article", {}, element("h4", {}, title, " ", said), element("p", {}, known.explanation ?? ""), list(evidence), fix ? code(fix) : null);
  });
  return part("causes", found.length > 1 ? "Causes, the best explanation first" : "Cause", found);
}

// Mean and standard deviation of a condition: after reload, where every bit of its few episodes is as there.
function momentsOf(condition, row) {
  return condition.spared === "same" ? { mean: row.after, std: row.after_std } : condition;
}

// How much of a loss or gain a condition closes; 0 where none is shown, or none would count.
function closes(condition, row) {
  const differs = row.difference === null || row.margin === null || Math.abs(row.difference) > row.margin;
  if (!differs || !(["degraded", "improved", "inconclusive"].includes(row.verdict))) return 0;
  const { mean } = momentsOf(condition, row);
  if (row.before === null || row.after === null || row.before === row.after || mean === null) return 0;
  return 1 - Math.abs(row.before - mean) / Math.abs(row.before - row.after);
}

// How many episodes a condition ran, and why no more.
function episodesText({ n, spared }) {
  const said = { same: ": every bit is as after reload, whose mean is shown; further ones were spared", excluded: ": they rule it out; further ones were spared" };
  return `${countText(n)}${said[spared] ?? ""}`;
}

function conditionRows(row, conditions) {
  return conditions.filter((condition) => condition.mean !== null).map((condition, place) => {
    const closed = ["in_place", "reference", "reload"].includes(condition.condition) ? 0 : closes(condition, row);
    const paired = condition.low !== null && condition.difference !== null;
    const { mean, std } = momentsOf(condition, row);
    return {
      place,
      condition: condition.condition.replace("in_place", "in place"),
      mean,
      low: paired ? mean + condition.low - condition.difference : mean,
      high: paired ? mean + condition.high - condition.difference : mean,
      kind: closed >= 0.8 ? "closes" : condition.condition === "reload" ? "reload" : "other",
      closes: closed >= 0.8 ? `closes ${Math.round(100 * closed)} %` : "",
      reward: rewardText(mean, std),
      interval: condition.identical ? "bit for bit as the reference" : paired ? `difference from the reference ${signedText(condition.low)} to ${signedText(condition.high)}` : "",
      episodes: episodesText(condition),
    };
  });
}

function target(row) {
  return row.before === null ? [] : [{ mean: row.before, low: row.before - (row.margin ?? 0), high: row.before + (row.margin ?? 0) }];
}

function conditionsPart(row, details, charted) {
  const conditions = details?.conditions ?? [];
  const rows = conditionRows(row, conditions);
  const failed = conditions.filter((condition) => condition.mean === null && condition.reason);
  const holder = chart("Mean reward under each condition", row);
  if (rows.length) charted.push(() => draw("conditions", holder, { conditions: rows, target: target(row) }, { width: Math.max(160, holder.clientWidth - 300) }));
  const cells = ({ condition, reward, interval, episodes, closes }) => [condition, reward, interval || MISSING, episodes, closes];
  const head = element("tr", {}, ["condition", "mean \u00b1 std", "compared with the reference", "episodes", "gap"].map((title) => element("th", { scope: "col" }, title)));
  const body = rows.map((shown) => element("tr", {}, cells(shown).map((text) => element("td", {}, text))));
  const table = rows.length ? element("details", {}, element("summary", {}, "As a table"), element("table", {}, element("thead", {}, head), element("tbody", {}, body))) : null;
  return part("conditions", "Under other conditions", rows.length ? holder : null, table, list(failed.map(({ condition, reason }) => `${condition} failed: ${reason}`)));
}

// :param all: the rewards of all pairs
function pairMarks(pairs, all) {
  const [least, most] = [Math.min(...all), Math.max(...all)];
  const pixels = (reward) => (most > least ? (300 * (reward - least)) / (most - least) : 0);
  const episodes = (members) => `${members.slice(0, 10).map(({ episode }) => episode).join(", ")}${members.length > 10 ? ", …" : ""}`;
  const marks = merged(pairs, ({ before, after }) => [pixels(before), pixels(after)], 45);
  return marks.map(({ members, ...mark }) => ({ ...mark, episodes: episodes(members) }));
}

function episodesPart(row, details, charted) {
  const { in_place: inPlace, reference, reload } = details?.pairs ?? {};
  const holder = chart("Rewards of single episodes", row);
  const width = () => Math.max(160, holder.clientWidth - 80);
  const before = inPlace ?? reference;
  if (before && reload) {
    const paired = (stage, after) => (after ?? []).flatMap((reward, episode) => (reward === null || (before[episode] ?? null) === null || episode >= reload.length ? [] : [{ stage, kind: stage, at: stage === "reload" ? "" : stage, episode, before: before[episode], after: reward }]));
    const pairs = [...(inPlace ? paired("reference", reference) : []), ...paired("reload", reload)];
    const all = pairs.flatMap((pair) => [pair.before, pair.after]);
    const diagonal = [Math.min(...all), Math.max(...all)].map((reward) => ({ reward }));
    if (pairs.length) charted.push(() => draw("pairs", holder, { pairs: pairMarks(pairs, all), diagonal }));
    return part("episodes", "Episodes, paired by seed", pairs.length ? holder : null);
  }
  if (reload) {
    const episodes = reload.flatMap((reward, episode) => (reward === null ? [] : [{ episode, reward, verdict: row.verdict }]));
    if (episodes.length) charted.push(() => draw("episodes", holder, { episodes, target: target(row) }, { width: width() }));
    return part("episodes", "Episodes after reload; dashed: claimed, with its margin", episodes.length ? holder : null);
  }
  const same = row.verdict === "identical" ? `All ${countText(row.n_episodes)} episodes are as in the reference, bit for bit.` : "";
  return part("episodes", "Episodes", same ? element("p", {}, same) : null);
}

// Small plots of what a model was in earlier audits, one a measure; a point is an audit, in the colour of its verdict.
function historyPart(row, details, charted) {
  const history = details?.history ?? [];
  const measures = {
    "Mean reward after reload": ([, , mean, std]) => [mean, std],
    "Difference, in margins": ([, , , , margins]) => [margins, null],
  };
  const plots = Object.entries(measures).flatMap(([title, measure]) => {
    const audits = history.map((point, place) => {
      const [value, std] = measure(point);
      const [low, high] = value === null ? [null, null] : [value - (std ?? 0), value + (std ?? 0)];
      return { place, when: point[0], verdict: point[1], value, low, high, said: rewardText(value, std) };
    });
    if (audits.every(({ value }) => value === null)) return [];
    const holder = chart(title, row);
    holder.dataset.label += `; ${audits.map(({ when, said, verdict }) => `${when}: ${said}${verdict ? `, ${verdict}` : ""}`).join("; ")}`;
    holder.dataset.file += `-${title}`;
    charted.push(() => draw("history", holder, { audits }, { width: Math.max(160, Math.min(340, holder.clientWidth - 60)) }));
    return [element("figure", {}, element("figcaption", {}, title), holder)];
  });
  return part("history", "In earlier audits", plots.length ? element("div", { class: "history" }, plots) : null);
}

function divergencePart(details) {
  const differences = details?.differences ?? [];
  const head = element("tr", {}, ["component", "reference", "reload"].map((title) => element("th", { scope: "col" }, title)));
  const rows = differences.map(([component, ...values]) => element("tr", {}, element("th", { scope: "row" }, component), values.map((value) => element("td", {}, value))));
  const table = rows.length ? element("table", {}, element("thead", {}, head), element("tbody", {}, rows)) : null;
  return part("divergence", "Where reload and reference part first", details?.divergence ? element("p", {}, details.divergence) : null, table);
}

function environmentPart(details, audit) {
  const probed = own(audit.environments, details?.probe);
  if (!probed) return null;
  const found = [...probed.problems.map(({ name, evidence }) => `${name}: ${evidence}`), ...probed.unknown.map((text) => `Not known: ${text}`)];
  const said = found.length ? list(found) : element("p", {}, "The probe found no hidden state, and no randomness beyond the seed.");
  return part("environment", "Its environment", said, probed.remark ? element("p", {}, probed.remark) : null);
}

function shellQuoted(text) {
  return /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}

function commandPart(row) {
  const { results, logs } = SETTINGS.folders;
  const start = `snakemake --cores 1 --configfile ${shellQuoted(`${results}/config.yaml`)}`;
  const only = `only=${JSON.stringify([row.key ?? row.model])}`;
  const folders = `pathvars=${JSON.stringify({ results: `${results}/only`, logs: `${logs}/only` })}`;
  return part("command", "Audit this model again",
    element("p", {}, row.source === "trained" ? "Alone and from the beginning, training included, beside these results:" : "Alone, beside these results:"),
    code(`${start} --config ${shellQuoted(only)} ${shellQuoted(folders)}`),
    row.source === "trained" ? element("p", {}, "Reload it once more, from the files that training left:") : null,
    row.source === "trained" ? code(`rm ${shellQuoted(`${results}/reloaded/${row.model}.json`)} && ${start}`) : null,
  );
}

// :param go: what the buttons do: close, step by 1 or -1 models, beside(name) of another model or "" for none
// :param beside: whether another model stands beside it; the buttons are those of the first
function heading(row, go, { isFirst, beside, choices }) {
  const button = (label, text, action, id = null) => element("button", { type: "button", id, autofocus: id !== null, "aria-label": label, title: label, onclick: action }, text);
  const trained = row.source === "trained" && row.seed !== null ? `, seed ${row.seed}, n_envs ${row.n_envs}` : "";
  const nav = isFirst
    ? element("nav", {}, beside ? null : button("Previous model", "\u2039", () => go.step(-1)), beside ? null : button("Next model", "\u203a", () => go.step(1)), button("Close", "\u00d7", go.close, "close"))
    : element("nav", {}, button(`Take ${row.model} away`, "\u00d7", () => go.beside("")));
  return element("header", {},
    element("div", {}, badge(row), element("h2", { id: isFirst ? "panel-title" : null }, row.model)),
    nav,
    element("p", {}, `${row.algorithm || "unknown algorithm"} on ${environmentText(row) || "an unknown environment"}, ${row.experiment}${trained}`),
    row.reason ? element("p", { class: "reason" }, row.reason) : null,
    row.fragile ? element("p", { class: "reason" }, "Its environment is not reproducible: with the same seeds and actions other episodes may come, and other rewards.") : null,
    isFirst && !beside && choices.length ? chooser(go, choices) : null,
  );
}

// A field that takes the name of a model to show beside this one, and offers the most alike first.
function chooser(go, choices) {
  const field = element("input", { type: "search", list: "others", "aria-label": "Compare with another model", placeholder: "Compare with another model \u2026", autocomplete: "off", onchange: () => go.beside(field.value) });
  return element("p", { class: "beside" }, field, element("datalist", { id: "others" }, choices.map((name) => element("option", { value: name }))));
}

// :return: the parts of a model's page in their order, by name; null for those without content
function partsOf(row, details, replay, audit, charted) {
  return {
    causes: causesPart(details, audit),
    claim: claimPart(row, details),
    conditions: conditionsPart(row, details, charted),
    episodes: episodesPart(row, details, charted),
    history: historyPart(row, details, charted),
    divergence: divergencePart(details),
    replay: replayPart(replay),
    environment: environmentPart(details, audit),
    "not-excluded": details?.not_excluded?.length ? part("not-excluded", "Not excluded", list(details.not_excluded)) : null,
    "ruled-out": details?.ruled_out?.length ? part("ruled-out", "Ruled out", list(details.ruled_out)) : null,
    left: details === null ? element("p", { class: "note" }, "The evidence on this model did not fit into this page; it is in audit.json.") : null,
    command: commandPart(row),
  };
}

// The parts of two models in rows; what says the same of both stands there once, under both names.
function sideBySide(rows, parts) {
  return Object.keys(parts[0]).flatMap((name) => {
    const both = parts.map((own) => own[name]);
    if (both.every((one) => one === null)) return [];
    const isSame = both.every(Boolean) && both[0].textContent === both[1].textContent && !both[0].querySelector(".chart, figure");
    if (!isSame) return [element("div", { class: "pair" }, both.map((one) => one ?? element("section", {}, element("p", { class: "note" }, MISSING))))];
    (both[0].firstElementChild ?? both[0]).append(element("small", {}, ` the same for ${rows[0].model} and ${rows[1].model}`));
    return [both[0]];
  });
}

let asked = null; // the rows whose panel was asked for last

// :param beside: the row of a model to show beside it, or null
// :param choices: names of models that may be shown beside it
async function showPanel(row, beside, audit, go, choices) {
  const rows = beside ? [row, beside] : [row];
  asked = rows;
  const details = await Promise.all(rows.map(({ index }) => detailsOf(index, audit)));
  const replays = await Promise.all(rows.map(({ index }) => replayOf(index, audit)));
  if (asked !== rows) return; // meanwhile another panel was opened, or this one closed
  const charted = [];
  const heads = rows.map((one, place) => heading(one, go, { isFirst: place === 0, beside, choices }));
  const parts = rows.map((one, place) => partsOf(one, details[place], replays[place], audit, charted));
  panel.classList.toggle("two", rows.length > 1);
  panel.replaceChildren(...(beside ? [element("div", { class: "pair" }, heads), ...sideBySide(rows, parts)] : [heads[0], ...Object.values(parts[0]).filter(Boolean)]));
  if (!panel.open) panel.showModal();
  panel.scrollTop = 0;
  for (const drawn of charted) drawn();
}
