// Controls for the parameters of operations. Sliders are held within the schema; what is typed is sent as it is, and the
// server says what is wrong with it.

import { el, fresh, set } from "./dom.js";
import { step } from "./schema.js";

/** A control for a parameter of schema.js; `change(value)` is called with every change. */
export function control(parameter, value, change) {
  const makers = { range, number, choice, switch: toggle, text };
  return makers[parameter.kind](parameter, value, change);
}

/** A labelled field with a place for the server's words. */
export function field(name, label, ...content) {
  const error = el("p", { class: "error", id: fresh("error"), hidden: true });
  const node = el("div", { class: "field", "data-field": name }, label, ...content, error);
  for (const input of node.querySelectorAll("input, select")) set(input, { "aria-describedby": error.id });
  return node;
}

/** Shows what the server says at the field, or takes it away. */
export function complain(node, message) {
  const error = node.querySelector(":scope > .error");
  error.textContent = message ?? "";
  error.hidden = !message;
  for (const input of node.querySelectorAll("input, select")) set(input, { "aria-invalid": message ? "true" : null });
}

function range({ name, low, high }, value, change) {
  const ends = (Array.isArray(value) ? value : [value, value]).slice(0, 2);
  const words = [`${name}, low end`, `${name}, high end`];
  const typed = words.map((label) => numeric(label, low, high));
  const slid = words.map((label) => slider(`${label}, slider`, low, high));
  const track = el("div", { class: "slider two" }, ...slid);

  function show() {
    ends.forEach((end, at) => {
      if (typed[at].value === "" || Number(typed[at].value) !== end) typed[at].value = end ?? "";
      slid[at].value = end ?? low;
    });
    set(track, { "--from": share(ends[0], low, high), "--to": share(ends[1], low, high) });
    track.classList.toggle("upper", ends[0] > (low + high) / 2); // so that the thumb that can move lies on top
  }

  [0, 1].forEach((at) => {
    slid[at].addEventListener("input", () => {
      const to = Number(slid[at].value);
      ends[at] = at ? Math.max(to, ends[0] ?? low) : Math.min(to, ends[1] ?? high);
      show();
      change([...ends]);
    });
    typed[at].addEventListener("input", () => {
      ends[at] = entered(typed[at]);
      if (ends[at] !== null) show();
      change([...ends]);
    });
  });
  show();
  const title = el("span", { class: "label", id: fresh("label") }, name);
  const node = field(name, el("div", { class: "head" }, title, el("span", { class: "ends" }, typed[0], "–", typed[1])), track);
  return set(node, { role: "group", "aria-labelledby": title.id });
}

function number({ name, low, high, integer }, value, change) {
  const typed = numeric(name, low, high);
  const slid = slider(`${name}, slider`, low, high, integer ? 1 : undefined);
  const track = el("div", { class: "slider" }, slid);
  const show = (now) => {
    slid.value = now ?? low;
    set(track, { "--from": 0, "--to": share(now, low, high) });
  };
  typed.value = value ?? "";
  show(value);
  slid.addEventListener("input", () => {
    typed.value = slid.value;
    show(Number(slid.value));
    change(Number(slid.value));
  });
  typed.addEventListener("input", () => {
    show(entered(typed));
    change(entered(typed));
  });
  return field(name, el("div", { class: "head" }, el("span", { class: "label" }, name), typed), track);
}

function choice({ name, options }, value, change) {
  const id = fresh("choice");
  const select = el("select", { id }, ...options.map((option) => el("option", { value: String(option) }, String(option))));
  select.value = String(value);
  select.addEventListener("change", () => change(options[select.selectedIndex]));
  return field(name, el("div", { class: "head" }, el("label", { class: "label", for: id }, name), select));
}

function toggle({ name }, value, change) {
  const box = el("input", { type: "checkbox", checked: value === true, onchange: () => change(box.checked) });
  return field(name, el("label", { class: "check" }, box, name));
}

function text({ name, nullable, plain }, value, change) {
  const id = fresh("text");
  const shown = value === null || value === undefined ? "" : typeof value === "string" ? value : JSON.stringify(value);
  const input = el("input", { id, type: "text", value: shown, spellcheck: "false", autocomplete: "off" });
  input.addEventListener("input", () => {
    if (nullable && input.value === "") change(null);
    else if (plain) change(input.value);
    else change(parsed(input.value));
  });
  return field(name, el("div", { class: "head" }, el("label", { class: "label", for: id }, name), input));
}

function parsed(words) {
  try {
    return JSON.parse(words);
  } catch {
    return words;
  }
}

/** Where a number lies between the ends, from 0 to 1. */
const share = (value, low, high) => (Math.min(Math.max(value ?? low, low), high) - low) / (high - low);

const numeric = (label, low, high) =>
  el("input", { type: "number", "aria-label": label, min: low, max: high, step: "any", inputmode: "decimal" });

const slider = (label, low, high, by = step(low, high)) =>
  el("input", { type: "range", "aria-label": label, min: low, max: high, step: by });

/** The number that stands in an input; null where there is none, which the server refuses in its own words. */
const entered = (input) => (input.value === "" ? null : Number(input.value));
