// Stepping through epochs, positions and views, and choosing overlays.

import { $, el, fresh, set, whole } from "./dom.js";
import { iconButton } from "./pipeline.js";

const COUNTS = [4, 8, 12, 16, 24, 32];

export class Toolbar {
  /** `changed({ name: value, … })` is called with where to go, or with the overlays. */
  constructor(changed) {
    this.changed = changed;
    this.samples = Infinity;
    this.epoch = this.#stepper("epoch", "Epoch", 2 ** 24 - 1, () => 1);
    this.start = this.#stepper("start", "Positions from", 2 ** 32 - 1, () => Number(this.count.value));
    this.view = this.#stepper("view", "View", 255, () => 1);
    this.count = el("select", { id: fresh("count") }, ...COUNTS.map((count) => el("option", { value: count }, String(count))));
    this.count.addEventListener("change", () => changed({ count: Number(this.count.value), chosen: 0 }));
    this.of = el("span", { class: "quiet" });
    const count = el("div", { class: "stepper" }, el("label", { for: this.count.id }, "Samples"), this.count);
    this.start.node.append(this.of);
    $("#steppers").append(this.epoch.node, this.view.node, this.start.node, count);
    this.boxes = new Map();
  }

  /** Shows where we are. */
  show(state, samples = Infinity) {
    this.samples = samples;
    for (const name of ["epoch", "start", "view"]) {
      const { input, back, on } = this[name];
      if (document.activeElement !== input || Number(input.value) !== state[name]) input.value = state[name];
      set(back, { disabled: state[name] === 0 });
      set(on, { disabled: name === "start" && state.start + state.count >= samples });
    }
    if (![...this.count.options].some(({ value }) => Number(value) === state.count)) {
      this.count.append(el("option", { value: state.count }, String(state.count)));
    }
    this.count.value = state.count;
    this.of.textContent = Number.isFinite(samples) ? `of ${whole(samples)}` : "";
  }

  /** Offers the overlays that the stream has. */
  offer(names, chosen) {
    if (names.join() !== [...this.boxes.keys()].join()) {
      this.boxes = new Map(names.map((name) => [name, el("input", { type: "checkbox", onchange: () => this.#overlaid() })]));
      const legend = $("#overlays legend");
      $("#overlays").replaceChildren(legend, ...[...this.boxes].map(([name, box]) => el("label", { class: "check" }, box, name)));
    }
    for (const [name, box] of this.boxes) box.checked = chosen.includes(name);
    $("#overlays").hidden = names.length === 0;
  }

  #overlaid() {
    this.changed({ overlays: [...this.boxes].filter(([, box]) => box.checked).map(([name]) => name) });
  }

  #stepper(name, label, most, by) {
    const id = fresh(name);
    const input = el("input", { id, type: "number", min: 0, max: most, step: 1, value: 0, inputmode: "numeric" });
    const go = (to) => {
      const last = name === "start" ? Math.max(0, this.samples - 1) : most;
      const value = Math.min(Math.max(Math.trunc(to) || 0, 0), last, most);
      input.value = value;
      this.changed({ [name]: value });
    };
    input.addEventListener("change", () => go(Number(input.value)));
    const words = { epoch: "epoch", start: "positions", view: "view" }[name];
    const back = iconButton("left", `Previous ${words}`, () => go(Number(input.value) - by()));
    const on = iconButton("right", `Next ${words}`, () => go(Number(input.value) + by()));
    const node = el("div", { class: "stepper" }, el("label", { for: id }, label), el("span", { class: "step" }, back, input, on));
    return { node, input, back, on };
  }
}
