// The filters: a model is shown if its verdict, mark, cause, environment, group, words and score are all selected.

const KINDS = {
  verdict: (row) => row.verdict,
  mark: (row) => (row.suspect ? "suspect" : ""),
  cause: (row) => row.cause,
  environment: (row) => row.environment,
  group: (row) => row.experiment,
  since: (row) => row.since,
};

function wordsOf(text) {
  return text.toLowerCase().split(/\s+/).filter(Boolean);
}

class Filters {
  constructor(rows, changed) {
    this.rows = rows;
    this.changed = changed;
    this.chosen = Object.fromEntries(Object.keys(KINDS).map((kind) => [kind, new Set()]));
    this.words = [];
    this.brush = null;
    this.buttons = [...document.querySelectorAll(".tile, .bar")].map((button) => {
      const kind = Object.keys(KINDS).find((name) => button.dataset[name] !== undefined);
      button.addEventListener("click", () => this.toggle(kind, button.dataset[kind]));
      return { button, kind, name: button.dataset[kind] };
    });
  }

  get any() {
    return this.words.length > 0 || this.brush !== null || Object.values(this.chosen).some((chosen) => chosen.size > 0);
  }

  toggle(kind, name) {
    if (!this.chosen[kind].delete(name)) this.chosen[kind].add(name);
    this.update(kind);
  }

  search(text) {
    this.words = wordsOf(text);
    this.update("search");
  }

  select(brush) {
    this.brush = brush;
    this.update("score");
  }

  clear() {
    this.restore({}, "", null);
  }

  // :param chosen: names by kind, of which those count that some model has
  restore(chosen, text, brush) {
    for (const [kind, nameOf] of Object.entries(KINDS)) {
      const wanted = new Set(chosen[kind] ?? []);
      this.chosen[kind] = wanted.size ? new Set(this.rows.map(nameOf).filter((name) => wanted.has(name))) : wanted;
    }
    this.words = wordsOf(text);
    this.brush = brush;
    this.update("all");
  }

  // :param except: a kind that is left out, to count what choosing another of its names would show
  matches(row, except = null) {
    for (const [kind, nameOf] of Object.entries(KINDS)) {
      const chosen = this.chosen[kind];
      if (kind !== except && chosen.size > 0 && !chosen.has(nameOf(row))) return false;
    }
    if (this.words.length > 0) {
      row.text ??= [row.model, row.environment, row.algorithm, row.experiment, verdictText(row), ...row.causes, row.reason].join(" ").toLowerCase();
      if (!this.words.every((word) => row.text.includes(word))) return false;
    }
    if (this.brush !== null && except !== "brush") {
      const { x, y } = this.brush;
      return row.x !== null && row.x >= x[0] && row.x <= x[1] && row.y >= y[0] && row.y <= y[1];
    }
    return true;
  }

  // :param change: what has changed: a kind, "search", "score", or "all"
  update(change) {
    for (const { button, kind, name } of this.buttons) button.ariaPressed = String(this.chosen[kind].has(name));
    this.count();
    this.changed(change);
  }

  // Updates the count of each bar: its models among those that all other kinds of filters let through.
  count() {
    for (const kind of ["cause", "environment", "group"]) {
      const counted = new Map();
      for (const row of this.rows) {
        if (!this.matches(row, kind)) continue;
        const name = KINDS[kind](row);
        const verdicts = counted.get(name) ?? {};
        verdicts[row.verdict] = (verdicts[row.verdict] ?? 0) + 1;
        counted.set(name, verdicts);
      }
      for (const bar of this.buttons.filter((one) => one.kind === kind)) showCount(bar.button, counted.get(bar.name) ?? {});
    }
  }
}

function showCount(button, verdicts) {
  const track = button.querySelector(".track");
  const segments = [...track.children];
  track.dataset.longest ??= segments.reduce((sum, segment) => sum + Number(segment.style.flexGrow), 0);
  let total = 0;
  for (const segment of segments) {
    if (segment.className === "rest") continue;
    const count = verdicts[segment.className] ?? 0;
    segment.style.flexGrow = count;
    segment.hidden = count === 0;
    total += count;
  }
  segments.at(-1).style.flexGrow = Math.max(0, track.dataset.longest - total);
  button.querySelector(".count").textContent = countText(total);
  button.classList.toggle("none", total === 0);
}
