// What the samples are: dataset, canvas (or clip), seeds.

import { complain, field } from "./controls.js";
import { $, el, fresh, set, whole } from "./dom.js";

const FITS = ["cover", "contain", "stretch"];

export class Data {
  /** `changed({ name: value, … })` is called with what a person changed; null leaves a field to the server. */
  constructor(changed) {
    this.changed = changed;
    this.fields = new Map();
    this.dataset = el("select", { id: fresh("dataset"), onchange: () => changed({ dataset: this.dataset.value }) });
    const size = ["Height", "Width"].map((name) => this.#number("", `Canvas ${name.toLowerCase()}, in pixels`, 1, 4096));
    for (const input of size) input.addEventListener("input", () => changed({ size: pair(size) }));
    this.size = size;
    this.fit = this.#choice("fit", FITS, (value) => value);
    this.channels = this.#choice("channels", ["1", "3"], Number);
    this.seconds = this.#single("seconds", "any");
    this.sample_rate = this.#single("sample_rate", "1");
    this.aug_seed = this.#single("aug_seed", "1", 0);
    this.order_seed = this.#single("order_seed", "1", 0);
    this.shuffle = el("input", { type: "checkbox", onchange: () => changed({ shuffle: this.shuffle.checked }) });
    this.about = el("p", { class: "quiet" });
    this.pictures = el("div", { class: "media" },
      this.#field("size", el("div", { class: "head" }, el("span", { class: "label" }, "Canvas"),
        el("span", { class: "ends" }, size[0], "×", size[1]))));
    this.sounds = el("div", { class: "media columns" },
      this.#labelled("seconds", "Seconds", this.seconds), this.#labelled("sample_rate", "Samples a second", this.sample_rate));
    this.framing = el("div", { class: "columns" },
      this.#labelled("fit", "Fit", this.fit), this.#labelled("channels", "Channels", this.channels));
    const more = el("details", { class: "more" }, el("summary", {}, "Fit, channels, seeds"), this.framing,
      el("div", { class: "columns" }, this.#labelled("aug_seed", "Augmentation seed", this.aug_seed),
        this.#labelled("order_seed", "Order seed", this.order_seed)),
      this.#field("shuffle", el("label", { class: "check" }, this.shuffle, "Shuffle each epoch")));
    this.more = more;
    $("#data").append(this.#labelled("dataset", "Dataset", this.dataset), this.about, this.pictures, this.sounds, more);
  }

  /** What /v1/datasets said. */
  learn(datasets) {
    this.known = new Map(datasets.map((dataset) => [dataset.name, dataset]));
    this.dataset.replaceChildren(...datasets.map(({ name }) => el("option", { value: name }, name)));
  }

  /** Shows a state. */
  show(state) {
    const info = this.known.get(state.dataset);
    this.dataset.value = state.dataset;
    this.about.textContent = info ? described(info) : "";
    const audio = info?.media === "audio";
    this.pictures.hidden = this.framing.hidden = audio;
    this.sounds.hidden = !audio;
    this.more.firstElementChild.textContent = audio ? "Seeds" : "Fit, channels, seeds";
    this.size.forEach((input, at) => put(input, state.size?.[at]));
    for (const name of ["seconds", "sample_rate", "aug_seed", "order_seed"]) put(this[name], state[name]);
    this.fit.value = state.fit ?? "cover";
    this.channels.value = state.channels === null ? "" : String(state.channels);
    this.shuffle.checked = state.shuffle;
  }

  /** What the server filled in, where nothing was given. */
  hint(spec) {
    (spec.size ?? []).forEach((side, at) => set(this.size[at], { placeholder: side }));
    for (const name of ["seconds", "sample_rate"]) set(this[name], { placeholder: spec[name] ?? null });
    this.channels.options[0].textContent = `the dataset’s${spec.channels ? ` (${spec.channels})` : ""}`;
  }

  complain(place, message) {
    const found = this.fields.get(place.split(".")[0]);
    if (!found) return false;
    if (this.more.contains(found)) this.more.open = true;
    complain(found, message);
    return true;
  }

  forgive() {
    for (const found of this.fields.values()) complain(found, null);
  }

  #field(name, ...content) {
    const made = field(name, ...content);
    this.fields.set(name, made);
    return made;
  }

  #labelled(name, label, input) {
    return this.#field(name, el("label", { class: "label", for: input.id }, label), input);
  }

  #number(placeholder, label, min, max, step = "1") {
    const bounds = { min: min ?? null, max: max ?? null, step, placeholder };
    return el("input", { id: fresh("number"), type: "number", inputmode: "decimal", "aria-label": label, ...bounds });
  }

  /** `usual` is what an empty field means; null leaves it to the server. */
  #single(name, step, usual = null) {
    const input = this.#number("", null, 0, null, step);
    input.addEventListener("input", () => this.changed({ [name]: input.value === "" ? usual : Number(input.value) }));
    return input;
  }

  #choice(name, options, value) {
    const select = el("select", { id: fresh(name) });
    const own = name === "channels" ? [el("option", { value: "" }, "the dataset’s")] : [];
    select.append(...own, ...options.map((option) => el("option", { value: option }, option)));
    select.addEventListener("change", () => this.changed({ [name]: select.value === "" ? null : value(select.value) }));
    return select;
  }
}

/** Both sides, null if both are empty; a side that is missing is sent as null, and the server names it. */
function pair(inputs) {
  const sides = inputs.map((input) => (input.value === "" ? null : Number(input.value)));
  return sides.every((side) => side === null) ? null : sides;
}

function put(input, value) {
  if (document.activeElement !== input) input.value = value ?? "";
}

function described({ samples, classes }) {
  const names = classes.length > 6 ? `${classes.length} classes` : classes.join(", ");
  return `${whole(samples)} samples${names ? ` · ${names}` : ""}`;
}
