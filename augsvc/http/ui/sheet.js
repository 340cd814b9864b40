// The samples of a batch beside one another, each original above what became of it.

import { $, el, set } from "./dom.js";
import { Media, labelled } from "./media.js";
import { row } from "./safetensors.js";

export class Sheet {
  /** `chosen(at)` is called when a person picks a sample. */
  constructor(chosen) {
    this.chosen = chosen;
    this.list = $("#sheet");
    this.cells = [];
    this.list.addEventListener("keydown", (event) => this.#walk(event));
    new ResizeObserver(() => this.overlay()).observe(this.list);
  }

  /** Draws both batches; `seen` is { stream, originals, augmented, start, shown, classes, audio }. */
  show(seen) {
    const count = seen.augmented.index.shape[0];
    if (this.cells.length !== count || this.audio !== seen.audio) this.#build(count, seen.audio);
    this.cells.forEach((cell, at) => {
      cell.original.show(seen.originals, at, { ...seen });
      cell.augmented.show(seen.augmented, at, { ...seen });
      const index = row(seen.augmented.index, at)[0];
      const name = labelled(seen.augmented, at, seen.classes);
      const replaced = seen.augmented.valid && !row(seen.augmented.valid, at)[0];
      cell.caption.textContent = name || `#${index}`;
      cell.note.textContent = replaced ? "replaced: cannot be decoded" : "";
      set(cell.button, { "aria-label": `Position ${seen.start + at}: ${[name, `index ${index}`].filter(Boolean).join(", ")}` });
    });
  }

  /** Marks the sample whose receipt is open. */
  mark(chosen) {
    this.cells.forEach(({ button }, at) => set(button, { "aria-pressed": String(at === chosen) }));
  }

  overlay(shown) {
    for (const { original, augmented } of this.cells) {
      original.overlay(shown);
      augmented.overlay(shown);
    }
  }

  #build(count, audio) {
    this.audio = audio;
    this.cells = Array.from({ length: count }, (_, at) => {
      const [original, augmented] = ["original", "augmented"].map((role) => new Media(role, audio));
      const caption = el("span", { class: "name" });
      const note = el("span", { class: "error" });
      const button = el("button", { type: "button", class: "sample", onclick: () => this.chosen(at) },
        original.node, augmented.node, el("span", { class: "caption" }, caption, note));
      const players = audio
        ? el("span", { class: "players" }, original.player(`original ${at}`), augmented.player(`augmented ${at}`))
        : null;
      return { original, augmented, caption, note, button, node: el("li", {}, button, players) };
    });
    this.list.classList.toggle("sounds", audio);
    const [wide, narrow] = audio ? [4, 2] : [8, 4];
    set(this.list, { "--wide": Math.min(wide, Math.max(count, 4)), "--narrow": narrow });
    this.list.replaceChildren(...this.cells.map(({ node }) => node));
  }

  #walk(event) {
    const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    const at = this.cells.findIndex(({ button }) => button === event.target);
    if (!by || at < 0) return;
    event.preventDefault();
    this.cells[Math.min(Math.max(at + by, 0), this.cells.length - 1)].button.focus();
  }
}
