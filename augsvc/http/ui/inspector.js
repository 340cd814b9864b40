// One sample, large, and its receipt: every operation, whether it was chosen, and what was drawn for it.

import { $, el, set, short, whole } from "./dom.js";
import { Media, labelled } from "./media.js";
import { row } from "./safetensors.js";

export class Inspector {
  constructor() {
    this.media = [];
    new ResizeObserver(() => this.overlay()).observe($("#large"));
  }

  /** The pictures of sample `at`; the receipt follows. */
  show(seen, at) {
    if (!this.media.length || this.audio !== seen.audio) this.#build(seen.audio);
    $("#inspector").hidden = false;
    [seen.originals, seen.augmented].forEach((tensors, side) => this.media[side].show(tensors, at, { ...seen }));
    const index = row(seen.augmented.index, at)[0];
    const title = $("#inspector-title");
    title.replaceChildren(`Position ${whole(seen.start + at)}`,
      el("span", { class: "quiet" }, [`index ${index}`, labelled(seen.augmented, at, seen.classes)].filter(Boolean).join(" · ")));
    set(this.media[0].canvas, { "aria-label": `The original at position ${seen.start + at}`, role: "img" });
    set(this.media[1].canvas, { "aria-label": `What became of it, epoch ${seen.epoch}`, role: "img" });
  }

  overlay(shown) {
    for (const media of this.media) media.overlay(shown);
  }

  /** The receipt; `pipeline` is the stream's, for the ranges that the numbers were drawn from. */
  tell(receipt, pipeline) {
    $("#source").textContent = receipt.source;
    const rows = receipt.operations.map((operation, at) => told(operation, pipeline[at] ?? {}));
    $("#draws").replaceChildren(...rows, ...(rows.length ? [] : [el("li", { class: "quiet" }, "No operation: it left as it is.")]));
  }

  #build(audio) {
    this.audio = audio;
    this.media = ["original", "augmented"].map((role) => new Media(role, audio));
    $("#large").classList.toggle("sounds", audio);
    $("#large").replaceChildren(...this.media.map((media) => el("figure", {}, media.node,
      el("figcaption", {}, media.role, ...(audio ? [media.player(`${media.role}, large`)] : [])))));
  }
}

function told({ op, id, selected, draws }, { p, ...ranges }) {
  const name = el("span", { class: "name" }, id === op ? op : `${op} · ${id}`);
  if (!selected) {
    return el("li", { class: "left-out", "data-op": op }, el("p", {}, name, el("span", { class: "quiet" }, `left out: p ${short(p ?? 0)}`)));
  }
  const values = Object.entries(draws).map(([parameter, value]) => drawn(parameter, [value].flat(), ranges[parameter]));
  return el("li", { "data-op": op }, el("p", {}, name), el("dl", {}, ...values));
}

/** A number, and where it lies between the ends of its range. */
function drawn(parameter, values, range) {
  const [low, high] = Array.isArray(range) && range.length === 2 ? range : [0, 0];
  const mark = (value) => set(el("i", {}), { "--at": `${(100 * (value - low)) / (high - low)}%` });
  const scale = high > low
    ? el("span", { class: "scale", title: `${short(low)} … ${short(high)}`, "aria-hidden": "true" }, ...values.map(mark))
    : el("span", { class: "scale fixed", title: "a fixed number", "aria-hidden": "true" });
  const text = values.map((value) => short(value)).join("  ").replaceAll("-", "−");
  return el("div", { "data-draw": parameter }, el("dt", {}, parameter), el("dd", {}, scale, el("span", { class: "number" }, text)));
}
