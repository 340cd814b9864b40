// The data settings: dataset, canvas (or clip), seeds.

import { field, showError } from "./controls.js";
import { $, el, formatInteger, set, uniqueId } from "./dom.js";
import { MEDIA } from "./medium.js";

const FITS = ["cover", "contain", "stretch"];

export class Data {
  /** Calls `changed({ name: value, … })` with the user's changes; null leaves a field to the server. */
  constructor(changed) {
    this.changed = changed;
    this.fields = new Map();
    this.dataset = el("select", { id: uniqueId("dataset"), onchange: () => changed({ dataset: this.dataset.value }) });
    const size = ["Height", "Width"].map((name) => this.#number("", `Canvas ${name.toLowerCase()}, in pixels`, 1, 4096));
    for (const input of size) input.addEventListener("input", () => changed({ size: sidesOf(size) }));
    this.size = size;
    this.fit = this.#choice("fit", FITS, (value) => value);
    this.channels = this.#choice("channels", [], Number);
    this.seconds = this.#single("seconds", "any");
    this.sample_rate = this.#single("sample_rate", "1");
    this.aug_seed = this.#single("aug_seed", "1", 0);
    this.order_seed = this.#single("order_seed", "1", 0);
    this.views = this.#single("views", "1", 1);
    this.shuffle = el("input", { type: "checkbox", onchange: () => changed({ shuffle: this.shuffle.checked }) });
    this.about = el("p", { class: "quiet" });
    this.canvas = el("div", { class: "media" },
      this.#field("size", el("div", { class: "head" }, el("span", { class: "label" }, "Canvas"),
        el("span", { class: "bounds" }, size[0], "×", size[1]))));
    this.clip = el("div", { class: "media columns" },
      this.#labelled("seconds", "Seconds", this.seconds), this.#labelled("sample_rate", "Sample rate (Hz)", this.sample_rate));
    this.framing = el("div", { class: "columns" },
      this.#labelled("fit", "Fit", this.fit), this.#labelled("channels", "Channels", this.channels));
    const more = el("details", { class: "more" }, el("summary", {}, "Fit, channels, seeds, views"), this.framing,
      el("div", { class: "columns" }, this.#labelled("aug_seed", "Augmentation seed", this.aug_seed),
        this.#labelled("order_seed", "Order seed", this.order_seed)),
      this.#labelled("views", "Views per sample", this.views),
      this.#field("shuffle", el("label", { class: "check" }, this.shuffle, "Shuffle each epoch")));
    this.more = more;
    $("#data").append(this.#labelled("dataset", "Dataset", this.dataset), this.about, this.canvas, this.clip, more);
  }

  /** Takes the answer of /v1/datasets. */
  setDatasets(datasets) {
    this.datasets = new Map(datasets.map((dataset) => [dataset.name, dataset]));
    const own = (dataset) => !dataset.built_in;
    const listed = [...datasets.filter(own), ...datasets.filter((dataset) => !own(dataset))];
    this.dataset.replaceChildren(...listed.map(({ name }) => el("option", { value: name }, name)));
  }

  /** Shows the state. */
  show(state) {
    const info = this.datasets.get(state.dataset);
    this.dataset.value = state.dataset;
    this.about.textContent = info ? describe(info) : "";
    const { fields, more, channels } = MEDIA[info?.media ?? "image"];
    this.canvas.hidden = !fields.includes("size");
    this.fields.get("fit").hidden = !fields.includes("fit");
    this.clip.hidden = !fields.includes("seconds");
    this.more.firstElementChild.textContent = more;
    this.size.forEach((input, i) => setValue(input, state.size?.[i]));
    for (const name of ["seconds", "sample_rate", "aug_seed", "order_seed", "views"]) setValue(this[name], state[name]);
    this.fit.value = state.fit ?? "cover";
    this.channels.replaceChildren(el("option", { value: "" }, `dataset’s${info ? ` (${info.channels})` : ""}`),
      ...(info ? channels(info.channels) : []).map((number) => el("option", { value: number }, String(number))));
    this.channels.value = state.channels === null ? "" : String(state.channels);
    this.shuffle.checked = state.shuffle;
  }

  /** Shows the values that the server filled in, as placeholders. */
  showDefaults(spec) {
    (spec.size ?? []).forEach((side, i) => set(this.size[i], { placeholder: side }));
    for (const name of ["seconds", "sample_rate"]) set(this[name], { placeholder: spec[name] ?? null });
  }

  /** Shows an error message at the control that `path` names; false if there is none. */
  showError(path, message) {
    const control = this.fields.get(path.split(".")[0]);
    if (!control) return false;
    if (this.more.contains(control)) this.more.open = true;
    showError(control, message);
    return true;
  }

  clearErrors() {
    for (const control of this.fields.values()) showError(control, null);
  }

  #field(name, ...content) {
    const control = field(name, ...content);
    this.fields.set(name, control);
    return control;
  }

  #labelled(name, label, input) {
    return this.#field(name, el("label", { class: "label", for: input.id }, label), input);
  }

  #number(placeholder, label, min, max, step = "1") {
    const bounds = { min: min ?? null, max: max ?? null, step, placeholder };
    return el("input", { id: uniqueId("number"), type: "number", inputmode: "decimal", "aria-label": label, ...bounds });
  }

  /** `empty` is the value of an empty field; null leaves it to the server. */
  #single(name, step, empty = null) {
    const input = this.#number("", null, 0, null, step);
    input.addEventListener("input", () => this.changed({ [name]: input.value === "" ? empty : Number(input.value) }));
    return input;
  }

  #choice(name, options, convert) {
    const select = el("select", { id: uniqueId(name) });
    select.append(...options.map((option) => el("option", { value: option }, option)));
    select.addEventListener("change", () => this.changed({ [name]: select.value === "" ? null : convert(select.value) }));
    return select;
  }
}

/** Height and width; null if both are empty. A single empty side is sent as null, and the server names it. */
function sidesOf(inputs) {
  const sides = inputs.map((input) => (input.value === "" ? null : Number(input.value)));
  return sides.every((side) => side === null) ? null : sides;
}

/** Sets an input's value, unless the user is typing in it. */
function setValue(input, value) {
  if (document.activeElement !== input) input.value = value ?? "";
}

function describe({ samples, classes }) {
  const names = classes.length > 6 ? `${classes.length} classes` : classes.join(", ");
  return `${formatInteger(samples)} samples${names ? ` · ${names}` : ""}`;
}
