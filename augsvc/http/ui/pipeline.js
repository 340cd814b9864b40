// The list of operations: add, move, change, remove. It holds the values; the server alone judges them.

import { complain, control } from "./controls.js";
import { $, announce, el, fresh, icon, set, short } from "./dom.js";
import { filled, parameters, written } from "./schema.js";
import { PRESETS, suited } from "./state.js";

const OWN = "custom";

export class Pipeline {
  /** `changed(pipeline)` is called with a preset's name or a list of operations. */
  constructor(changed) {
    this.changed = changed;
    this.known = new Map();
    this.media = "image";
    this.cards = []; // { operation, values, open, node }
    this.list = $("#operations");
    this.radios = [...new Set(Object.values(PRESETS).flat()), OWN].map((name) => this.#radio(name));
    $("#add").addEventListener("submit", (event) => {
      event.preventDefault();
      this.#add($("#add-name").value);
    });
  }

  /** What /v1/ops said. */
  learn(operations) {
    this.known = new Map(operations.map((operation) => [operation.name, operation]));
    this.#offer();
  }

  /** Operations of the other kind of data are neither offered nor kept. Returns those that are kept. */
  suit(media, pipeline) {
    this.media = media;
    this.#offer();
    for (const radio of this.radios) radio.parentElement.hidden = ![...PRESETS[media], OWN].includes(radio.value);
    if (!Array.isArray(pipeline)) return suited(pipeline, media);
    return pipeline.filter(({ op }) => (this.known.get(op)?.media ?? media) === media);
  }

  /** Shows a preset (its expansion) or a list. */
  show(pipeline, expanded) {
    const name = typeof pipeline === "string" ? pipeline : OWN;
    for (const radio of this.radios) radio.checked = radio.value === name;
    const open = this.cards.map((card) => card.open && card.operation.name);
    this.cards = expanded.map((entry, at) => {
      const operation = this.known.get(entry.op) ?? { name: entry.op, kind: "", summary: "", schema: {} };
      return { operation, values: filled(operation, entry), open: open[at] === entry.op };
    });
    this.#draw();
  }

  entries() {
    return this.cards.map(({ operation, values }) => written(operation, values));
  }

  /** Shows the server's words at the control that `place` names, like pipeline.0.degrees; whether there is one. */
  complain(place, message) {
    const [first, at, name] = place.split(".");
    if (first !== "pipeline") return false;
    const card = this.cards[Number(at)];
    const control = card && name && card.fields.get(name);
    if (control) {
      this.#open(card, true);
      complain(control, message);
    } else if (card) {
      complain(card.node, message);
    } else {
      set($("#pipeline-error"), { hidden: false }).textContent = message;
    }
    return true;
  }

  forgive() {
    $("#pipeline-error").hidden = true;
    for (const card of this.cards) {
      complain(card.node, null);
      for (const control of card.fields.values()) complain(control, null);
    }
  }

  #radio(name) {
    const input = el("input", { type: "radio", name: "preset", value: name, class: "unseen" });
    input.addEventListener("change", () => this.changed(name === OWN ? this.entries() : name));
    $("#presets").append(el("label", {}, input, el("span", {}, name)));
    return input;
  }

  #offer() {
    const kinds = new Map();
    for (const operation of this.known.values()) {
      if (operation.media !== this.media) continue;
      kinds.set(operation.kind, [...(kinds.get(operation.kind) ?? []), operation.name]);
    }
    const groups = [...kinds].map(([kind, names]) =>
      el("optgroup", { label: kind }, ...names.map((name) => el("option", { value: name }, name))));
    $("#add-name").replaceChildren(...groups);
  }

  #edited() {
    for (const radio of this.radios) radio.checked = radio.value === OWN;
    this.changed(this.entries());
  }

  #add(name) {
    const operation = this.known.get(name);
    if (!operation) return;
    const card = { operation, values: filled(operation), open: true };
    this.cards.push(card);
    this.#draw();
    card.title.focus();
    announce(`${name} added as operation ${this.cards.length}`);
    this.#edited();
  }

  #move(card, by, focus) {
    const at = this.cards.indexOf(card);
    const to = at + by;
    if (to < 0 || to >= this.cards.length) return;
    this.cards.splice(to, 0, ...this.cards.splice(at, 1));
    this.#draw();
    const wanted = card[focus];
    (wanted.disabled ? card[focus === "up" ? "down" : "up"] : wanted).focus();
    announce(`${card.operation.name} is now operation ${to + 1} of ${this.cards.length}`);
    this.#edited();
  }

  #remove(card) {
    const at = this.cards.indexOf(card);
    this.cards.splice(at, 1);
    this.#draw();
    const next = this.cards[Math.min(at, this.cards.length - 1)];
    (next ? next.title : $("#add-name")).focus();
    announce(`${card.operation.name} removed`);
    this.#edited();
  }

  #draw() {
    this.list.replaceChildren(...this.cards.map((card, at) => this.#card(card, at)));
    $("#no-operations").hidden = this.cards.length > 0;
  }

  #card(card, at) {
    const { name, summary } = card.operation;
    const body = el("div", { class: "parameters", id: fresh("parameters"), role: "group", "aria-label": name, hidden: !card.open });
    body.append(el("p", { class: "quiet" }, summary.replaceAll("`", "")));
    card.fields = new Map();
    for (const parameter of parameters(card.operation)) {
      const made = control(parameter, card.values[parameter.name], (value) => {
        card.values[parameter.name] = value;
        card.brief.textContent = brief(card);
        this.#edited();
      });
      card.fields.set(parameter.name, made);
      body.append(made);
    }
    card.body = body;
    card.brief = el("span", { class: "brief" }, brief(card));
    card.title = el("button", { type: "button", class: "title", "aria-expanded": String(card.open), "aria-controls": body.id },
      el("span", { class: "name" }, name), card.brief);
    card.title.addEventListener("click", () => this.#open(card, !card.open));
    card.title.addEventListener("keydown", (event) => {
      if (!event.altKey || !["ArrowUp", "ArrowDown"].includes(event.key)) return;
      event.preventDefault();
      this.#move(card, event.key === "ArrowUp" ? -1 : 1, "title");
    });
    set(card.title, { "aria-keyshortcuts": "Alt+ArrowUp Alt+ArrowDown" });
    card.up = iconButton("up", `Move ${name} up`, () => this.#move(card, -1, "up"), at === 0);
    card.down = iconButton("down", `Move ${name} down`, () => this.#move(card, 1, "down"), at === this.cards.length - 1);
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

/** What a closed card says: its first parameter that does something, and its chance. */
function brief({ operation, values }) {
  const drawn = parameters(operation).filter(({ kind, name }) => kind === "range" && values[name]);
  const telling = drawn.find(({ name }) => values[name][0] !== values[name][1]) ?? drawn[0];
  const parts = [];
  if (telling) {
    const [low, high] = [values[telling.name]].flat().map((end) => short(end ?? NaN));
    parts.push(`${telling.name} ${low === high || high === undefined ? low : `${low} … ${high}`}`);
  }
  if (values.p !== 1 && values.p !== undefined) parts.push(`p ${short(values.p ?? NaN)}`);
  return parts.join(" · ").replaceAll("-", "−");
}
