// The contact sheet: the samples of a batch side by side, each original above its augmented views.

import { $, el, set } from "./dom.js";
import { VIEWS, labelText } from "./media.js";
import { MEDIA } from "./medium.js";
import { ofView, row } from "./safetensors.js";

export class Sheet {
  /** Calls `select(i)` when the user selects sample i. */
  constructor(select) {
    this.select = select;
    this.list = $("#sheet");
    this.cells = [];
    this.list.addEventListener("keydown", (event) => this.#moveFocus(event));
    new ResizeObserver(() => this.overlay()).observe(this.list);
  }

  /** Draws both batches; `batch` is { stream, originals, augmented, views, start, overlays, classes, media }. */
  show(batch) {
    const count = batch.augmented.index.shape[0];
    if (this.cells.length !== count || this.media !== batch.media || this.views !== batch.views) this.#build(count, batch);
    this.cells.forEach((cell, i) => {
      cell.original.show(batch.originals, i, { ...batch });
      cell.augmented.forEach((media, k) => media.show(ofView(batch.augmented, k), i, { ...batch }));
      const index = row(batch.augmented.index, i)[0];
      const name = labelText(batch.augmented, i, batch.classes);
      const replaced = batch.augmented.valid && !row(batch.augmented.valid, i)[0];
      cell.caption.textContent = name || `#${index}`;
      cell.note.textContent = replaced ? "replaced: undecodable" : "";
      set(cell.button, { "aria-label": `Position ${batch.start + i}: ${[name, `index ${index}`].filter(Boolean).join(", ")}` });
    });
  }

  /** Marks the sample whose receipt is open. */
  mark(selected) {
    this.cells.forEach(({ button }, i) => set(button, { "aria-pressed": String(i === selected) }));
  }

  overlay(overlays) {
    for (const { original, augmented } of this.cells) {
      original.overlay(overlays);
      for (const media of augmented) media.overlay(overlays);
    }
  }

  #build(count, { media, views }) {
    Object.assign(this, { media, views });
    const View = VIEWS[media];
    this.cells = Array.from({ length: count }, (_, i) => {
      const original = new View("original");
      const augmented = Array.from({ length: views }, () => new View("augmented"));
      const caption = el("span", { class: "name" });
      const note = el("span", { class: "error" });
      const button = el("button", { type: "button", class: "sample", onclick: () => this.select(i) },
        original.node, ...augmented.map(({ node }) => node), el("span", { class: "caption" }, caption, note));
      const buttons = [original.player("original", `original ${i}`), ...augmented.map((view, k) => (views > 1
        ? view.player(`view ${k}`, `augmented ${i}, view ${k}`)
        : view.player("augmented", `augmented ${i}`)))].filter(Boolean);
      const players = buttons.length ? el("span", { class: "players" }, ...buttons) : null;
      return { original, augmented, caption, note, button, node: el("li", {}, button, players) };
    });
    this.list.dataset.media = media;
    const [wide, narrow] = MEDIA[media].columns;
    set(this.list, { "--wide": Math.min(wide, Math.max(count, 4)), "--narrow": narrow });
    this.list.replaceChildren(...this.cells.map(({ node }) => node));
  }

  #moveFocus(event) {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    const focused = this.cells.findIndex(({ button }) => button === event.target);
    if (!step || focused < 0) return;
    event.preventDefault();
    this.cells[Math.min(Math.max(focused + step, 0), this.cells.length - 1)].button.focus();
  }
}
