// Two episodes of a model side by side: frames on canvases, with what the policy saw, did and earned.

const MOMENT = 160; // milliseconds that a step is shown
const stillness = matchMedia("(prefers-reduced-motion: reduce)");

async function replayOf(index, audit) {
  return audit.replayed.includes(index) ? unpackJson(`replay-${index}`) : null;
}

// A film plays by itself when it comes into view, but for those who prefer reduced motion.
function replayPart(replay) {
  if (replay === null) return null;
  if (replay.problem) return part("replay", "Replay", element("p", {}, `No replay: ${replay.problem}.`));
  const film = new ReplayFilm(replay);
  const shown = part("replay", "Replay", element("p", {}, replay.said), film.controls, element("div", { class: "replay" }, film.sides.map(({ figure }) => figure)));
  shown.addEventListener("keydown", (event) => film.press(event));
  new IntersectionObserver(([entry], observer) => {
    if (!entry.isIntersecting) return;
    observer.disconnect();
    if (!stillness.matches) film.play();
  }, { threshold: 0.6 }).observe(shown.querySelector(".replay"));
  film.show(0);
  return shown;
}

class ReplayFilm {
  #steps;
  #at = 0;
  #timer = 0;
  #button = element("button", { type: "button", onclick: () => this.toggle() }, "Play");
  #slider;
  #step = element("span", {});

  constructor({ steps, sides }) {
    this.#steps = steps;
    this.sides = sides.map((side) => new ReplaySide(side));
    this.#slider = element("input", { type: "range", min: 0, max: steps.length - 1, value: 0, "aria-label": "Step", oninput: () => this.#goTo(Number(this.#slider.value)) });
    const by = (label, text, steps) => element("button", { type: "button", "aria-label": label, title: label, onclick: () => this.#goTo(this.#at + steps) }, text);
    this.controls = element("div", { class: "film" }, this.#button, by("Step back", "\u2039", -1), by("Step on", "\u203a", 1), this.#slider, this.#step);
  }

  show(at) {
    this.#at = Math.min(Math.max(at, 0), this.#steps.length - 1);
    const step = this.#steps[this.#at];
    this.#slider.value = this.#at;
    this.#slider.setAttribute("aria-valuetext", `step ${countText(step)}`);
    this.#step.textContent = `step ${countText(step)}`;
    for (const side of this.sides) side.show(this.#at, step);
  }

  play() {
    if (this.#at === this.#steps.length - 1) this.show(0);
    this.#button.textContent = "Pause";
    this.#timer = setInterval(() => {
      if (!this.#button.isConnected || this.#at === this.#steps.length - 1) this.#pause();
      else this.show(this.#at + 1);
    }, MOMENT);
  }

  toggle() {
    if (this.#timer) this.#pause();
    else this.play();
  }

  // Space plays or pauses, arrows step; the slider and buttons have their own keys.
  press(event) {
    const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (by && event.target !== this.#slider) this.#goTo(this.#at + by);
    else if (event.key === " " && event.target.tagName !== "BUTTON") this.toggle();
    else return;
    event.preventDefault();
  }

  #goTo(at) {
    this.#pause();
    this.show(at);
  }

  #pause() {
    clearInterval(this.#timer);
    this.#timer = 0;
    this.#button.textContent = "Play";
  }
}

// One of the two episodes. After its last step it stays at its end.
class ReplaySide {
  #title;
  #length;
  #moments;
  #lastFrame;
  #pictures = new Map();
  #canvas = element("canvas", { role: "img" });
  #said = element("dl", {});
  #shown;

  constructor({ title, length, moments, last_frame }) {
    this.#title = title;
    this.#length = length;
    this.#moments = moments;
    this.#lastFrame = last_frame || moments.at(-1)?.[0];
    this.figure = element("figure", {}, element("figcaption", {}, title), this.#canvas, this.#said);
  }

  show(at, step) {
    const over = step >= this.#length;
    const moment = this.#moments[Math.min(at, this.#moments.length - 1)] ?? [];
    const [frame, observation = MISSING, action = MISSING, reward, earned] = moment;
    const texts = { Observation: over ? MISSING : observation, Action: over ? MISSING : action, Reward: over ? MISSING : numberText(reward), "Earned so far": numberText(earned), Ended: over ? `after ${countText(this.#length)} steps` : MISSING };
    this.#said.replaceChildren(...Object.entries(texts).flatMap(([name, text]) => [element("dt", {}, name), element("dd", {}, text)]));
    this.#canvas.setAttribute("aria-label", over ? `${this.#title}, at its end` : `${this.#title}, step ${countText(step)}`);
    this.#draw(over ? this.#lastFrame : frame);
  }

  async #draw(frame) {
    this.#shown = frame;
    this.#canvas.hidden = !frame;
    if (!frame) return;
    if (!this.#pictures.has(frame)) this.#pictures.set(frame, pictureOf(frame));
    const picture = await this.#pictures.get(frame);
    if (this.#shown !== frame || !picture) return; // meanwhile another step is shown
    if (this.#canvas.width !== picture.width || this.#canvas.height !== picture.height) Object.assign(this.#canvas, { width: picture.width, height: picture.height });
    this.#canvas.getContext("2d").drawImage(picture, 0, 0);
  }
}

// :return: a bitmap; null for what is no picture
async function pictureOf(frame) {
  const bytes = Uint8Array.from(atob(frame), (character) => character.charCodeAt(0));
  return createImageBitmap(new Blob([bytes], { type: "image/webp" })).catch(() => null);
}
