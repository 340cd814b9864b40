// The panel with the texts: tabs, and a copy button that says what it did.

import { $, announce, el, set } from "./dom.js";
import { curl, json, python } from "./texts.js";

const KINDS = { Python: python, JSON: json, curl };
const SAID_MS = 2000;

export class Copy {
  constructor() {
    this.kind = "Python";
    this.view = null;
    this.tabs = Object.keys(KINDS).map((kind) => el("button", {
      type: "button", role: "tab", id: `tab-${kind.toLowerCase()}`, "aria-controls": "text", onclick: () => this.#choose(kind),
      onkeydown: (event) => this.#step(event),
    }, kind));
    $("#tabs").append(...this.tabs);
    $("#copy").addEventListener("click", () => this.#copy());
    this.#choose("Python");
  }

  /** What texts.js needs: url, spec, stream, epoch, start, count, view, media, token. */
  show(view) {
    this.view = view;
    $("#text").textContent = KINDS[this.kind](view);
  }

  #choose(kind) {
    this.kind = kind;
    for (const tab of this.tabs) {
      const on = tab.textContent === kind;
      set(tab, { "aria-selected": String(on), tabindex: on ? "0" : "-1" });
      if (on) set($("#text"), { "aria-labelledby": tab.id });
    }
    if (this.view) this.show(this.view);
  }

  #step(event) {
    const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!by) return;
    const to = this.tabs[(this.tabs.indexOf(event.target) + by + this.tabs.length) % this.tabs.length];
    this.#choose(to.textContent);
    to.focus();
  }

  async #copy() {
    const done = await put($("#text"));
    $("#copy").textContent = done ? "Copied" : "Press Ctrl+C";
    announce(done ? `${this.kind} copied` : "Copying is not allowed here: the text is selected");
    clearTimeout(this.timer);
    this.timer = setTimeout(() => ($("#copy").textContent = "Copy"), SAID_MS);
  }
}

/** Without a secure context there is no clipboard: then the selection is copied the old way. */
async function put(node) {
  try {
    await navigator.clipboard.writeText(node.textContent);
    return true;
  } catch {
    getSelection().selectAllChildren(node);
    return document.execCommand("copy");
  }
}
