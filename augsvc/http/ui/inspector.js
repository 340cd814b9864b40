// One sample enlarged, and its receipt: every operation, whether it was selected, and its drawn parameters.

import { $, el, formatInteger, formatNumber, set } from "./dom.js";
import { VIEWS, labelText } from "./media.js";
import { ofView, row } from "./safetensors.js";

export class Inspector {
  /** Calls `selectView(k)` when the user selects one of a sample's views. */
  constructor(selectView) {
    this.selectView = selectView;
    this.shown = [];
    this.views = 1;
    new ResizeObserver(() => this.overlay()).observe($("#large"));
  }

  /** Shows view `k` of sample `i` of a batch (see sheet.js); its receipt follows. */
  show(batch, i, k) {
    this.#offerViews(batch.views, k);
    if (this.media !== batch.media) this.#build(batch.media);
    $("#inspector").hidden = false;
    [batch.originals, ofView(batch.augmented, k)].forEach((tensors, side) => this.shown[side].show(tensors, i, { ...batch }));
    const index = row(batch.augmented.index, i)[0];
    const title = $("#inspector-title");
    title.replaceChildren(`Position ${formatInteger(batch.start + i)}`,
      el("span", { class: "quiet" }, [`index ${index}`, labelText(batch.augmented, i, batch.classes)].filter(Boolean).join(" · ")));
    set(this.shown[0].canvas, { "aria-label": `Original at position ${batch.start + i}`, role: "img" });
    set(this.shown[1].canvas, { "aria-label": `Augmented, epoch ${batch.epoch}`, role: "img" });
  }

  overlay(overlays) {
    for (const view of this.shown) view.overlay(overlays);
  }

  /** Shows the receipt; `pipeline` is the stream's and has the ranges of the drawn parameters. */
  showReceipt(receipt, pipeline) {
    const { mix } = receipt;
    const partners = [...(mix?.partners ?? []), ...(mix?.partner ? [mix.partner] : [])]
      .map(({ source, replaces }) => source + (replaces ? ` (for ${replaces.source}, undecodable)` : "")).join(", ");
    const weight = mix && "weight" in mix ? `, weight of this label ${formatNumber(mix.weight)}` : "";
    $("#source").textContent = receipt.source + (mix ? ` · mixed with ${partners}${weight}` : "");
    const entries = entriesById(pipeline);
    const shown = receipt.operations.filter(({ id, selected }) => selected || entries.has(id)); // a policy has up to 60
    const rows = shown.map((operation) => operationItem(operation, entries.get(operation.id) ?? {}));
    $("#draws").replaceChildren(...rows, ...(rows.length ? [] : [el("li", { class: "quiet" }, "No operations applied.")]));
  }

  #offerViews(views, selected) {
    if (this.views !== views) {
      const radios = Array.from({ length: views }, (_, k) => el("label", {}, el("input", { type: "radio", name: "view", value: k,
        class: "visually-hidden", onchange: () => this.selectView(k) }), el("span", {}, `view ${k}`)));
      $("#views").replaceChildren($("#views legend"), ...radios);
      this.views = views;
    }
    $("#views").hidden = views === 1;
    for (const radio of $("#views").querySelectorAll("input")) radio.checked = Number(radio.value) === selected;
  }

  #build(media) {
    this.media = media;
    this.shown = ["original", "augmented"].map((role) => new VIEWS[media](role));
    $("#large").dataset.media = media;
    $("#large").replaceChildren(...this.shown.map((view) => el("figure", {}, view.node,
      el("figcaption", {}, view.player(view.role, `${view.role}, large`) ?? view.role))));
  }
}

/** The entries of a pipeline and of its containers by the ids in receipts, such as one_of.gamma. */
function entriesById(pipeline, prefix = "") {
  return new Map(pipeline.flatMap((entry) => {
    const id = prefix + entry.id;
    return [[id, entry], ...(Array.isArray(entry.of) ? entriesById(entry.of, `${id}.`) : [])];
  }));
}

function operationItem({ op, id, selected, draws }, { p, ...ranges }) {
  const name = el("span", { class: "name" }, id === op ? op : `${op} · ${id}`);
  if (!selected) {
    return el("li", { class: "skipped", "data-op": op }, el("p", {}, name, el("span", { class: "quiet" }, p === undefined || p === 1 ? "not selected" : `skipped (p = ${formatNumber(p)})`)));
  }
  const values = Object.entries(draws).map(([parameter, value]) => drawItem(parameter, [value].flat(), ranges[parameter]));
  return el("li", { "data-op": op }, el("p", {}, name), el("dl", {}, ...values));
}

/** A drawn parameter, and its position in the range. */
function drawItem(parameter, values, range) {
  const [low, high] = Array.isArray(range) && range.length === 2 ? range : [0, 0];
  const marker = (value) => set(el("i", {}), { "--at": `${(100 * (value - low)) / (high - low)}%` });
  const scale = high > low
    ? el("span", { class: "scale", title: `${formatNumber(low)} … ${formatNumber(high)}`, "aria-hidden": "true" }, ...values.map(marker))
    : el("span", { class: "scale fixed", title: "fixed value", "aria-hidden": "true" });
  const text = values.map((value) => formatNumber(value)).join("  ").replaceAll("-", "−");
  return el("div", { "data-draw": parameter }, el("dt", {}, parameter), el("dd", {}, scale, el("span", { class: "number" }, text)));
}
