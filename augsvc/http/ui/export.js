// The export panel: one tab a snippet, and a button that copies it.

import { $, announce, el, set } from "./dom.js";
import { curl, json, python } from "./snippets.js";

const FORMATS = { Python: python, JSON: json, curl };
const FEEDBACK_MS = 2000;

export class ExportPanel {
  constructor() {
    this.format = "Python";
    this.view = null;
    this.tabs = Object.keys(FORMATS).map((format) => el("button", {
      type: "button", role: "tab", id: `tab-${format.toLowerCase()}`, "aria-controls": "text", onclick: () => this.#choose(format),
      onkeydown: (event) => this.#step(event),
    }, format));
    $("#tabs").append(...this.tabs);
    $("#copy").addEventListener("click", () => this.#copy());
    this.#choose("Python");
  }

  /** Shows the snippets of a view: { url, spec, stream, epoch, start, count, view, views, media, augmented, token }. */
  show(view) {
    this.view = view;
    $("#text").textContent = FORMATS[this.format](view);
  }

  #choose(format) {
    this.format = format;
    for (const tab of this.tabs) {
      const selected = tab.textContent === format;
      set(tab, { "aria-selected": String(selected), tabindex: selected ? "0" : "-1" });
      if (selected) set($("#text"), { "aria-labelledby": tab.id });
    }
    if (this.view) this.show(this.view);
  }

  #step(event) {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!step) return;
    const tab = this.tabs[(this.tabs.indexOf(event.target) + step + this.tabs.length) % this.tabs.length];
    this.#choose(tab.textContent);
    tab.focus();
  }

  async #copy() {
    const copied = await copyText($("#text"));
    $("#copy").textContent = copied ? "Copied" : "Press Ctrl+C";
    announce(copied ? `${this.format} copied` : "Copying is not allowed; the text is selected");
    clearTimeout(this.timer);
    this.timer = setTimeout(() => ($("#copy").textContent = "Copy"), FEEDBACK_MS);
  }
}

/** Copies a node's text. Without a secure context there is no clipboard API, so the selection is copied instead. */
async function copyText(node) {
  try {
    await navigator.clipboard.writeText(node.textContent);
    return true;
  } catch {
    getSelection().selectAllChildren(node);
    return document.execCommand("copy");
  }
}
