// The pipeline as a tree of cards: add, move, change, remove. It holds the values; only the server validates them.

import { control, field, showError } from "./controls.js";
import { $, announce, el, formatNumber, icon, set, uniqueId } from "./dom.js";
import { MEDIA } from "./medium.js";
import { parameters, withDefaults } from "./schema.js";
import { PURPOSES, presetFor } from "./state.js";
import { canMove, keepOpen, locate, neighbour, positionOf, toEntries, toNodes } from "./tree.js";

const CUSTOM = "custom";

export class Pipeline {
  /** Calls `changed(pipeline)` with a preset's name or a list of operations. */
  constructor(changed) {
    this.changed = changed;
    this.operations = new Map();
    this.media = "image";
    this.nodes = []; // see tree.js; a rendered node has its elements too
    this.list = $("#operations");
    this.radios = [...new Set(Object.values(MEDIA).flatMap(({ presets }) => presets)), CUSTOM].map((name) => this.#radio(name));
    $("#add").addEventListener("submit", (event) => {
      event.preventDefault();
      this.#add($("#add-name").value, null);
    });
  }

  /** Takes the answer of /v1/ops. */
  setOperations(operations) {
    this.operations = new Map(operations.map((operation) => [operation.name, operation]));
    this.#fillSelect($("#add-name"), () => true);
  }

  /** Switches to a medium: operations of another medium are neither offered nor kept. Returns the remaining pipeline. */
  setMedia(media, pipeline) {
    this.media = media;
    this.#fillSelect($("#add-name"), () => true);
    for (const radio of this.radios) radio.parentElement.hidden = ![...MEDIA[media].presets, CUSTOM].includes(radio.value);
    if (!Array.isArray(pipeline)) {
      const preset = presetFor(pipeline, media);
      this.#mark(preset);
      return preset;
    }
    return pipeline.filter(({ op }) => (this.operations.get(op)?.media ?? media) === media); // a container has none
  }

  /** Shows a preset or a list; `expanded` is the list of operations that it stands for. */
  show(pipeline, expanded) {
    this.#mark(typeof pipeline === "string" ? pipeline : CUSTOM);
    const earlier = this.nodes;
    this.nodes = toNodes(expanded, this.operations);
    keepOpen(this.nodes, earlier);
    this.#render();
  }

  /** Shows what a stream's policies choose from: ids in passes are those of its steps, such as one_of.rand_augment.1.shear_x. */
  showPolicies({ passes, spec }, nodes = this.nodes, entries = spec.pipeline, prefix = "") {
    const ids = passes.flatMap((stages) => Object.values(stages).flat()).map(String);
    nodes.forEach((node, i) => {
      const id = `${prefix}${entries[i]?.id}.`;
      if (node.children) this.showPolicies({ passes, spec }, node.children, entries[i]?.of ?? [], id);
      if (node.operation.kind !== "policy") return;
      const names = ids.filter((other) => other.startsWith(id)).map((other) => other.split(".").at(-1));
      node.choices.textContent = `Chooses from ${[...new Set(names)].join(", ")}.`;
      node.choices.hidden = names.length === 0;
    });
  }

  /** The operations as a specification lists them. */
  entries() {
    return toEntries(this.nodes);
  }

  /** Shows an error message at the control that `path` names, e.g. pipeline.0.of.1.degrees; false for other paths. */
  showError(path, message) {
    if (path.split(".")[0] !== "pipeline") return false;
    const { node, names } = locate(this.nodes, path);
    const control = node?.fields.get(names[0]);
    if (control) this.#open(node, true);
    for (let parent = node?.parent; parent; parent = parent.parent) this.#open(parent, true);
    if (node) showError(control ?? node.node, message);
    else set($("#pipeline-error"), { hidden: false }).textContent = message;
    return true;
  }

  clearErrors(nodes = this.nodes) {
    $("#pipeline-error").hidden = true;
    for (const { node, fields, children } of nodes) {
      showError(node, null);
      for (const control of fields.values()) showError(control, null);
      if (children) this.clearErrors(children);
    }
  }

  #mark(name) {
    for (const radio of this.radios) radio.checked = radio.value === name;
  }

  #radio(name) {
    const input = el("input", { type: "radio", name: "preset", value: name, class: "visually-hidden" });
    input.addEventListener("change", () => this.changed(name === CUSTOM ? this.entries() : name));
    $("#presets").append(el("label", { title: PURPOSES[name] }, input, el("span", {}, name)));
    return input;
  }

  /** Offers the operations of the medium that `accepts` takes, by kind. */
  #fillSelect(select, accepts) {
    const kinds = new Map();
    for (const operation of this.operations.values()) {
      if ((operation.media ?? this.media) !== this.media || !accepts(operation)) continue;
      kinds.set(operation.kind, [...(kinds.get(operation.kind) ?? []), operation.name]);
    }
    const groups = [...kinds].map(([kind, names]) =>
      el("optgroup", { label: kind }, ...names.map((name) => el("option", { value: name }, name))));
    select.replaceChildren(...groups);
  }

  #emitChange() {
    for (const radio of this.radios) radio.checked = radio.value === CUSTOM;
    this.changed(this.entries());
  }

  #siblings(parent) {
    return parent ? parent.children : this.nodes;
  }

  /** Adds an operation to a container, or to the pipeline. */
  #add(name, parent) {
    const operation = this.operations.get(name);
    if (!operation) return;
    const [node] = toNodes([{ op: name, ...withDefaults(operation) }], this.operations, parent);
    const siblings = this.#siblings(parent);
    node.open = true;
    siblings.splice(positionOf(operation, siblings), 0, node);
    this.#finish(node, "title", `${name} added as ${place(node, siblings)}`);
  }

  #move(node, step, focus) {
    const siblings = this.#siblings(node.parent);
    if (!canMove(node, step, siblings)) return;
    const to = siblings.indexOf(node) + step;
    siblings.splice(to, 0, ...siblings.splice(to - step, 1));
    this.#finish(node, focus, `${node.operation.name} is now ${place(node, siblings)} of ${siblings.length}`);
  }

  /** Moves a node to the end of a neighbouring container, or out of its container, behind it. */
  #transfer(node, parent) {
    const from = this.#siblings(node.parent);
    from.splice(from.indexOf(node), 1);
    const siblings = this.#siblings(parent);
    siblings.splice(parent === node.parent?.parent ? siblings.indexOf(node.parent) + 1 : siblings.length, 0, node);
    node.parent = parent;
    if (parent) parent.open = true;
    this.#finish(node, "title", `${node.operation.name} is now ${place(node, siblings)}`);
  }

  #remove(node) {
    const siblings = this.#siblings(node.parent);
    const index = siblings.indexOf(node);
    siblings.splice(index, 1);
    const next = siblings[Math.min(index, siblings.length - 1)] ?? node.parent;
    this.#finish(next, "title", `${node.operation.name} removed`);
  }

  /** Renders a changed tree, and puts the focus on an element of a node: a button that is disabled hands it on. */
  #finish(node, focus, message) {
    this.#render();
    const element = node ? node[focus] : $("#add-name");
    (element.disabled ? node[focus === "up" ? "down" : "up"] : element).focus();
    announce(message);
    this.#emitChange();
  }

  #render() {
    this.list.replaceChildren(...this.nodes.map((node) => this.#card(node)));
    $("#no-operations").hidden = this.nodes.length > 0;
  }

  #card(node) {
    const { name } = node.operation;
    const body = this.#body(node);
    node.summary = el("span", { class: "summary" }, summarize(node));
    node.title = el("button", { type: "button", class: "title", "aria-expanded": String(node.open), "aria-controls": body.id },
      el("span", { class: "name" }, name), node.summary);
    node.title.addEventListener("click", () => this.#open(node, !node.open));
    node.title.addEventListener("keydown", (event) => {
      if (!event.altKey || !["ArrowUp", "ArrowDown"].includes(event.key)) return;
      event.preventDefault();
      this.#move(node, event.key === "ArrowUp" ? -1 : 1, "title");
    });
    set(node.title, { "aria-keyshortcuts": "Alt+ArrowUp Alt+ArrowDown" });
    const error = el("p", { class: "error", hidden: true });
    node.node = el("li", { class: "operation", "data-op": name }, el("div", { class: "bar" }, node.title, ...this.#buttons(node)), error, body);
    return node.node;
  }

  #buttons(node) {
    const { name } = node.operation;
    const siblings = this.#siblings(node.parent);
    const container = neighbour(node, siblings);
    node.up = iconButton("up", `Move ${name} up`, () => this.#move(node, -1, "up"), !canMove(node, -1, siblings));
    node.down = iconButton("down", `Move ${name} down`, () => this.#move(node, 1, "down"), !canMove(node, 1, siblings));
    return [
      node.parent && iconButton("left", `Move ${name} out of ${node.parent.operation.name}`, () => this.#transfer(node, node.parent.parent)),
      container && iconButton("right", `Move ${name} into ${container.operation.name}`, () => this.#transfer(node, container)),
      node.up, node.down, iconButton("remove", `Remove ${name}`, () => this.#remove(node)),
    ].filter(Boolean);
  }

  /** A card's parameters; of a container its steps first. */
  #body(node) {
    const { name, summary } = node.operation;
    const body = el("div", { class: "parameters", id: uniqueId("parameters"), role: "group", "aria-label": name, hidden: !node.open });
    body.append(el("p", { class: "quiet" }, summary.replaceAll("`", "")));
    node.choices = el("p", { class: "quiet", hidden: true });
    body.append(node.choices);
    node.fields = new Map();
    for (const parameter of parameters(node.operation)) {
      const isSteps = parameter.name === "of" && node.children;
      const made = isSteps ? this.#steps(node) : control(parameter, node.values[parameter.name], (value) => {
        node.values[parameter.name] = value;
        node.summary.textContent = summarize(node);
        this.#emitChange();
      });
      node.fields.set(parameter.name, made);
      body.append(made);
    }
    node.body = body;
    return body;
  }

  /** The steps of a container, and a form that adds one; a frame cannot be in it. */
  #steps(node) {
    const { name } = node.operation;
    const list = el("ol", { class: "operations nested", "aria-label": `Operations in ${name}` },
      ...node.children.map((child) => this.#card(child)));
    const select = el("select", { "aria-label": `Step for ${name}` });
    this.#fillSelect(select, ({ kind }) => kind !== "frame");
    const form = el("form", { class: "row" }, select, el("button", { "aria-label": `Add to ${name}` }, "Add"));
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#add(select.value, node);
    });
    return field("of", null, list, form);
  }

  #open(node, open) {
    node.open = open;
    node.body.hidden = !open;
    set(node.title, { "aria-expanded": String(open) });
  }
}

/** "operation 2", or "operation 2 in one_of". */
const place = (node, siblings) =>
  `operation ${siblings.indexOf(node) + 1}${node.parent ? ` in ${node.parent.operation.name}` : ""}`;

export function iconButton(name, label, act, disabled = false) {
  return el("button", { type: "button", class: "icon", "aria-label": label, title: label, onclick: act, disabled }, icon(name));
}

/** The summary on a closed card: its first drawn parameter that varies, or its steps, and its probability. */
function summarize({ operation, values, children }) {
  const drawn = parameters(operation).filter(({ kind, name }) => kind === "range" && values[name]);
  const varying = drawn.find(({ name }) => values[name][0] !== values[name][1]) ?? drawn[0];
  const parts = children ? [children.map((child) => child.operation.name).join(", ")] : [];
  if (varying) {
    const [low, high] = [values[varying.name]].flat().map((bound) => formatNumber(bound ?? NaN));
    parts.push(`${varying.name} ${low === high || high === undefined ? low : `${low} … ${high}`}`);
  }
  if (values.p !== 1 && values.p !== undefined) parts.push(`p ${formatNumber(values.p ?? NaN)}`);
  return parts.join(" · ").replaceAll("-", "−");
}
