// Steppers for epoch, view and positions, and the choice of overlays.

import { $, el, formatInteger, set, uniqueId } from "./dom.js";
import { iconButton } from "./pipeline.js";

const COUNTS = [4, 8, 12, 16, 24, 32];

export class Toolbar {
  /** Calls `changed({ name: value, … })` with a new address, or with the overlays. */
  constructor(changed) {
    this.changed = changed;
    this.samples = Infinity;
    this.epoch = this.#stepper("epoch", "Epoch", 2 ** 24 - 1, () => 1);
    this.start = this.#stepper("start", "Positions from", 2 ** 32 - 1, () => Number(this.count.value));
    this.view = this.#stepper("view", "View", 255, () => 1);
    this.count = el("select", { id: uniqueId("count") }, ...COUNTS.map((count) => el("option", { value: count }, String(count))));
    this.count.addEventListener("change", () => changed({ count: Number(this.count.value), chosen: 0 }));
    this.total = el("span", { class: "quiet" });
    const count = el("div", { class: "stepper" }, el("label", { for: this.count.id }, "Samples"), this.count);
    this.start.node.append(this.total);
    $("#steppers").append(this.epoch.node, this.view.node, this.start.node, count);
    this.boxes = new Map();
  }

  /** Shows the state's address; `samples` is the length of the epoch. */
  show(state, samples = Infinity) {
    this.samples = samples;
    for (const name of ["epoch", "start", "view"]) {
      const { input, previous, next } = this[name];
      if (document.activeElement !== input || Number(input.value) !== state[name]) input.value = state[name];
      set(previous, { disabled: state[name] === 0 });
      set(next, { disabled: name === "start" && state.start + state.count >= samples });
    }
    if (![...this.count.options].some(({ value }) => Number(value) === state.count)) {
      this.count.append(el("option", { value: state.count }, String(state.count)));
    }
    this.count.value = state.count;
    this.total.textContent = Number.isFinite(samples) ? `of ${formatInteger(samples)}` : "";
  }

  /** Shows a checkbox for each overlay that the stream has. */
  setOverlays(names, selected) {
    if (names.join() !== [...this.boxes.keys()].join()) {
      this.boxes = new Map(names.map((name) => [name, el("input", { type: "checkbox", onchange: () => this.#emitOverlays() })]));
      const legend = $("#overlays legend");
      $("#overlays").replaceChildren(legend, ...[...this.boxes].map(([name, box]) => el("label", { class: "check" }, box, name)));
    }
    for (const [name, box] of this.boxes) box.checked = selected.includes(name);
    $("#overlays").hidden = names.length === 0;
  }

  #emitOverlays() {
    this.changed({ overlays: [...this.boxes].filter(([, box]) => box.checked).map(([name]) => name) });
  }

  #stepper(name, label, max, step) {
    const id = uniqueId(name);
    const input = el("input", { id, type: "number", min: 0, max, step: 1, value: 0, inputmode: "numeric" });
    const goTo = (target) => {
      const last = name === "start" ? Math.max(0, this.samples - 1) : max;
      const value = Math.min(Math.max(Math.trunc(target) || 0, 0), last, max);
      input.value = value;
      this.changed({ [name]: value });
    };
    input.addEventListener("change", () => goTo(Number(input.value)));
    const unit = { epoch: "epoch", start: "positions", view: "view" }[name];
    const previous = iconButton("left", `Previous ${unit}`, () => goTo(Number(input.value) - step()));
    const next = iconButton("right", `Next ${unit}`, () => goTo(Number(input.value) + step()));
    const node = el("div", { class: "stepper" }, el("label", { for: id }, label), el("span", { class: "step" }, previous, input, next));
    return { node, input, previous, next };
  }
}
