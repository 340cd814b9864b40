// The list of operations: add, move, change, remove. It holds the values; only the server validates them.

import { control, showError } from "./controls.js";
import { $, announce, el, formatNumber, icon, set, uniqueId } from "./dom.js";
import { parameters, toEntry, withDefaults } from "./schema.js";
import { PRESETS, presetFor } from "./state.js";

const CUSTOM = "custom";

export class Pipeline {
  /** Calls `changed(pipeline)` with a preset's name or a list of operations. */
  constructor(changed) {
    this.changed = changed;
    this.operations = new Map();
    this.media = "image";
    this.cards = []; // { operation, values, open, node }
    this.list = $("#operations");
    this.radios = [...new Set(Object.values(PRESETS).flat()), CUSTOM].map((name) => this.#radio(name));
    $("#add").addEventListener("submit", (event) => {
      event.preventDefault();
      this.#add($("#add-name").value);
    });
  }

  /** Takes the answer of /v1/ops. */
  setOperations(operations) {
    this.operations = new Map(operations.map((operation) => [operation.name, operation]));
    this.#fillSelect();
  }

  /** Switches to a medium: operations of another medium are neither offered nor kept. Returns the remaining pipeline. */
  setMedia(media, pipeline) {
    this.media = media;
    this.#fillSelect();
    for (const radio of this.radios) radio.parentElement.hidden = ![...PRESETS[media], CUSTOM].includes(radio.value);
    if (!Array.isArray(pipeline)) return presetFor(pipeline, media);
    return pipeline.filter(({ op }) => (this.operations.get(op)?.media ?? media) === media); // a container has none
  }

  /** Shows a preset or a list; `expanded` is the list of operations that it stands for. */
  show(pipeline, expanded) {
    const name = typeof pipeline === "string" ? pipeline : CUSTOM;
    for (const radio of this.radios) radio.checked = radio.value === name;
    const open = this.cards.map((card) => card.open && card.operation.name);
    this.cards = expanded.map((entry, i) => {
      const operation = this.operations.get(entry.op) ?? { name: entry.op, kind: "", summary: "", schema: {} };
      return { operation, values: withDefaults(operation, entry), open: open[i] === entry.op };
    });
    this.#render();
  }

  /** The operations as a specification lists them. */
  entries() {
    return this.cards.map(({ operation, values }) => toEntry(operation, values));
  }

  /** Shows an error message at the control that `path` names, e.g. pipeline.0.degrees; false for other paths. */
  showError(path, message) {
    const [root, index, name] = path.split(".");
    if (root !== "pipeline") return false;
    const card = this.cards[Number(index)];
    const control = card && name && card.fields.get(name);
    if (control) {
      this.#open(card, true);
      showError(control, message);
    } else if (card) {
      showError(card.node, message);
    } else {
      set($("#pipeline-error"), { hidden: false }).textContent = message;
    }
    return true;
  }

  clearErrors() {
    $("#pipeline-error").hidden = true;
    for (const card of this.cards) {
      showError(card.node, null);
      for (const control of card.fields.values()) showError(control, null);
    }
  }

  #radio(name) {
    const input = el("input", { type: "radio", name: "preset", value: name, class: "visually-hidden" });
    input.addEventListener("change", () => this.changed(name === CUSTOM ? this.entries() : name));
    $("#presets").append(el("label", {}, input, el("span", {}, name)));
    return input;
  }

  #fillSelect() {
    const kinds = new Map();
    for (const operation of this.operations.values()) {
      if ((operation.media ?? this.media) !== this.media) continue;
      kinds.set(operation.kind, [...(kinds.get(operation.kind) ?? []), operation.name]);
    }
    const groups = [...kinds].map(([kind, names]) =>
      el("optgroup", { label: kind }, ...names.map((name) => el("option", { value: name }, name))));
    $("#add-name").replaceChildren(...groups);
  }

  #emitChange() {
    for (const radio of this.radios) radio.checked = radio.value === CUSTOM;
    this.changed(this.entries());
  }

  #add(name) {
    const operation = this.operations.get(name);
    if (!operation) return;
    const card = { operation, values: withDefaults(operation), open: true };
    if (operation.kind === "frame") this.cards.unshift(card); // a frame comes first
    else this.cards.push(card);
    this.#render();
    card.title.focus();
    announce(`${name} added as operation ${this.cards.indexOf(card) + 1}`);
    this.#emitChange();
  }

  #move(card, step, focus) {
    const from = this.cards.indexOf(card);
    const to = from + step;
    if (to < 0 || to >= this.cards.length) return;
    this.cards.splice(to, 0, ...this.cards.splice(from, 1));
    this.#render();
    const button = card[focus];
    (button.disabled ? card[focus === "up" ? "down" : "up"] : button).focus();
    announce(`${card.operation.name} is now operation ${to + 1} of ${this.cards.length}`);
    this.#emitChange();
  }

  #remove(card) {
    const index = this.cards.indexOf(card);
    this.cards.splice(index, 1);
    this.#render();
    const next = this.cards[Math.min(index, this.cards.length - 1)];
    (next ? next.title : $("#add-name")).focus();
    announce(`${card.operation.name} removed`);
    this.#emitChange();
  }

  #render() {
    this.list.replaceChildren(...this.cards.map((card, index) => this.#card(card, index)));
    $("#no-operations").hidden = this.cards.length > 0;
  }

  #card(card, index) {
    const { name, summary } = card.operation;
    const body = el("div", { class: "parameters", id: uniqueId("parameters"), role: "group", "aria-label": name, hidden: !card.open });
    body.append(el("p", { class: "quiet" }, summary.replaceAll("`", "")));
    card.fields = new Map();
    for (const parameter of parameters(card.operation)) {
      const node = control(parameter, card.values[parameter.name], (value) => {
        card.values[parameter.name] = value;
        card.summary.textContent = summarize(card);
        this.#emitChange();
      });
      card.fields.set(parameter.name, node);
      body.append(node);
    }
    card.body = body;
    card.summary = el("span", { class: "summary" }, summarize(card));
    card.title = el("button", { type: "button", class: "title", "aria-expanded": String(card.open), "aria-controls": body.id },
      el("span", { class: "name" }, name), card.summary);
    card.title.addEventListener("click", () => this.#open(card, !card.open));
    card.title.addEventListener("keydown", (event) => {
      if (!event.altKey || !["ArrowUp", "ArrowDown"].includes(event.key)) return;
      event.preventDefault();
      this.#move(card, event.key === "ArrowUp" ? -1 : 1, "title");
    });
    set(card.title, { "aria-keyshortcuts": "Alt+ArrowUp Alt+ArrowDown" });
    card.up = iconButton("up", `Move ${name} up`, () => this.#move(card, -1, "up"), index === 0);
    card.down = iconButton("down", `Move ${name} down`, () => this.#move(card, 1, "down"), index === this.cards.length - 1);
    const remove = iconButton("remove", `Remove ${name}`, () => this.#remove(card));
    const error = el("p", { class: "error", hidden: true });
    card.node = el("li", { class: "operation", "data-op": name },
      el("div", { class: "bar" }, card.title, card.up, card.down, remove), error, body);
    return card.node;
  }

  #open(card, open) {
    card.open = open;
    card.body.hidden = !open;
    set(card.title, { "aria-expanded": String(open) });
  }
}

export function iconButton(name, label, act, disabled = false) {
  return el("button", { type: "button", class: "icon", "aria-label": label, title: label, onclick: act, disabled }, icon(name));
}

/** The summary on a closed card: its first drawn parameter that varies, and its probability. */
function summarize({ operation, values }) {
  const drawn = parameters(operation).filter(({ kind, name }) => kind === "range" && values[name]);
  const varying = drawn.find(({ name }) => values[name][0] !== values[name][1]) ?? drawn[0];
  const parts = [];
  if (varying) {
    const [low, high] = [values[varying.name]].flat().map((bound) => formatNumber(bound ?? NaN));
    parts.push(`${varying.name} ${low === high || high === undefined ? low : `${low} … ${high}`}`);
  }
  if (values.p !== 1 && values.p !== undefined) parts.push(`p ${formatNumber(values.p ?? NaN)}`);
  return parts.join(" · ").replaceAll("-", "−");
}
