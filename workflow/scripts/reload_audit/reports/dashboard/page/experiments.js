// The charts of experiments: rewards by n_envs, and seed by seed. Panels that say the same are folded.

const IN_PANELS = 6; // experiments that have a panel each; of more, each is a row
const unfolded = new Set(); // charts of which all is shown

// How many panels of a width (pixels) fit in a row.
function panelsInARow(container, width) {
  return Math.max(1, Math.floor((container.clientWidth + 20) / width));
}

function grouped(rows, name) {
  const found = new Map();
  for (const row of rows) found.set(row[name], [...(found.get(row[name]) ?? []), row]);
  return [...found.values()];
}

// :param panels: their rows
// :param saysNothing: whether a panel shows no difference at all
// :param content: of a row, what makes it differ from that of another panel
// :param title: the field with a panel's title
// :return: the rows of the panels that are drawn, each of several alike with all their titles, and titles of the others
function folded(panels, saysNothing, content, title) {
  const alike = new Map();
  for (const panel of panels.filter((one) => !saysNothing(one))) {
    const said = JSON.stringify(panel.map(content));
    alike.set(said, [...(alike.get(said) ?? []), panel]);
  }
  const rows = [...alike.values()].flatMap(([first, ...others]) => {
    const titles = [first, ...others].map(([row]) => row[title]).join(", ");
    return first.map((row) => ({ ...row, [title]: titles }));
  });
  return { rows, silent: panels.filter(saysNothing).map(([row]) => row[title]) };
}

// Says under a chart which panels are not drawn, with a button that draws them.
// :return: whether they are folded
function fold(container, silent, what, redraw) {
  const id = `${container.id}-folded`;
  document.getElementById(id)?.remove();
  if (!silent.length) return;
  const open = unfolded.has(container.id);
  const toggle = () => {
    if (!unfolded.delete(container.id)) unfolded.add(container.id);
    redraw();
    document.querySelector(`#${id} button`)?.focus();
  };
  const names = silent.length > 12 ? `${silent.slice(0, 12).join(", ")} and ${countText(silent.length - 12)} more` : silent.join(", ");
  container.before(element("p", { class: "note folded", id }, `${what}: ${names}. `, element("button", { type: "button", "aria-expanded": String(open), onclick: toggle }, open ? "Fold" : "Show")));
}

function drawExperiments(audit, rows) {
  const shown = new Set(rows.map((row) => row.experiment));
  const some = (found) => found.filter((row) => shown.has(row.group));
  const grid = document.getElementById("grid");
  const seeds = document.getElementById("seeds");
  if (!grid) return;
  const redraw = () => drawExperiments(audit, rows);
  const cells = some(audit.cells);
  const isFlat = (panel) => panel.every(({ margins }) => !margins);
  const differing = folded(grouped(cells, "group"), isFlat, ({ n_envs: n, condition, mean, difference }) => [n, condition, mean, difference], "experiment");
  fold(grid, cells.length && differing.rows.length ? differing.silent : [], "No difference from the reference in any cell", redraw);
  drawGrid(grid, differing.rows.length && !unfolded.has("grid") ? differing.rows : cells);
  const lines = some(audit.seeds);
  const isLevel = (panel) => grouped(panel, "model").every((line) => line.every(({ mean }) => mean === line[0].mean));
  const bent = folded(grouped(lines, "panel"), isLevel, ({ stage, mean, verdict }) => [stage, mean, verdict], "panel");
  fold(seeds, lines.length && bent.rows.length ? bent.silent : [], "Every model earned the same in place, as reference and after reload", redraw);
  draw("seeds", seeds, { seeds: bent.rows.length && !unfolded.has("seeds") ? bent.rows : lines }, { signals: { columns: panelsInARow(seeds, 290) } });
}

// Few experiments as panels, whose cells are wide where there is room; many as one row each.
function drawGrid(container, cells) {
  const experiments = new Set(cells.map((cell) => cell.experiment)).size;
  const conditions = Math.max(1, ...grouped(cells, "experiment").map((panel) => new Set(panel.map((cell) => cell.condition)).size));
  if (experiments > IN_PANELS) draw("grid_of_many", container, { cells: cells.filter(({ condition }) => condition !== "reference") });
  else {
    const room = container.clientWidth - 90;
    const step = experiments === 1 ? Math.max(82, Math.min(150, room / conditions)) : 82;
    draw("grid", container, { cells }, { signals: { columns: panelsInARow(container, 82 * conditions + 90), child_x_step: step } });
  }
}
