// Controls for operation parameters. Sliders stay within the schema's bounds; typed values are sent as they are, and the
// server validates them.

import { el, set, uniqueId } from "./dom.js";
import { sliderStep } from "./schema.js";

/** A control for a parameter from schema.js; calls `change(value)` on every change. */
export function control(parameter, value, change) {
  const makers = { range, number, choice, switch: toggle, spans, text };
  return makers[parameter.kind](parameter, value, change);
}

/** A labelled field with room for the server's error message. */
export function field(name, label, ...content) {
  const error = el("p", { class: "error", id: uniqueId("error"), hidden: true });
  const node = el("div", { class: "field", "data-field": name }, label, ...content, error);
  for (const input of inputsOf(node)) set(input, { "aria-describedby": error.id });
  return node;
}

/** Shows an error message at the field; null removes it. */
export function showError(node, message) {
  const error = node.querySelector(":scope > .error");
  error.textContent = message ?? "";
  error.hidden = !message;
  for (const input of inputsOf(node)) set(input, { "aria-invalid": message ? "true" : null });
}

/** A field's inputs, without those of fields in it: the steps of a container have theirs. */
const inputsOf = (node) => [...node.querySelectorAll("input, select")].filter((input) => input.closest(".field") === node);

function range({ name, low, high, integer }, value, change) {
  const bounds = (Array.isArray(value) ? value : [value, value]).slice(0, 2);
  const labels = [`${name}, minimum`, `${name}, maximum`];
  const inputs = labels.map((label) => numberInput(label, low, high));
  const sliders = labels.map((label) => slider(`${label}, slider`, low, high, integer));
  const track = el("div", { class: "slider two" }, ...sliders);

  function show() {
    bounds.forEach((bound, i) => {
      if (inputs[i].value === "" || Number(inputs[i].value) !== bound) inputs[i].value = bound ?? "";
      sliders[i].value = bound ?? low;
    });
    set(track, { "--from": fraction(bounds[0], low, high), "--to": fraction(bounds[1], low, high) });
    track.classList.toggle("upper", bounds[0] > (low + high) / 2); // puts the thumb that can still move on top
  }

  [0, 1].forEach((i) => {
    sliders[i].addEventListener("input", () => {
      const moved = Number(sliders[i].value);
      bounds[i] = i ? Math.max(moved, bounds[0] ?? low) : Math.min(moved, bounds[1] ?? high);
      show();
      change([...bounds]);
    });
    inputs[i].addEventListener("input", () => {
      bounds[i] = numberIn(inputs[i]);
      if (bounds[i] !== null) show();
      change([...bounds]);
    });
  });
  show();
  const title = el("span", { class: "label", id: uniqueId("label") }, name);
  const node = field(name, el("div", { class: "head" }, title, el("span", { class: "bounds" }, inputs[0], "–", inputs[1])), track);
  return set(node, { role: "group", "aria-labelledby": title.id });
}

function number({ name, low, high, integer }, value, change) {
  const input = numberInput(name, low, high);
  const handle = slider(`${name}, slider`, low, high, integer);
  const track = el("div", { class: "slider" }, handle);
  const show = (current) => {
    handle.value = current ?? low;
    set(track, { "--from": 0, "--to": fraction(current, low, high) });
  };
  input.value = value ?? "";
  show(value);
  handle.addEventListener("input", () => {
    input.value = handle.value;
    show(Number(handle.value));
    change(Number(handle.value));
  });
  input.addEventListener("input", () => {
    show(numberIn(input));
    change(numberIn(input));
  });
  return field(name, el("div", { class: "head" }, el("span", { class: "label" }, name), input), track);
}

function choice({ name, options }, value, change) {
  const id = uniqueId("choice");
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
  const id = uniqueId("text");
  const initial = value === null || value === undefined ? "" : typeof value === "string" ? value : JSON.stringify(value);
  const input = el("input", { id, type: "text", value: initial, spellcheck: "false", autocomplete: "off" });
  input.addEventListener("input", () => {
    if (nullable && input.value === "") change(null);
    else if (plain) change(input.value);
    else change(parseValue(input.value));
  });
  return field(name, el("div", { class: "head" }, el("label", { class: "label", for: id }, name), input));
}

/** Numbers and ranges as people write them: "0, 2, 5-9" is [0, 2, [5, 9]]; empty is all. */
function spans({ name }, value, change) {
  const id = uniqueId("spans");
  const input = el("input", { id, type: "text", placeholder: "all, or 0, 5-9", spellcheck: "false", autocomplete: "off" });
  input.value = spansText(value);
  input.addEventListener("input", () => change(parseSpans(input.value)));
  return field(name, el("div", { class: "head" }, el("label", { class: "label", for: id }, name), input));
}

const spansText = (value) =>
  value === null || value === undefined ? "" : [value].flat().map((span) => (Array.isArray(span) ? span.join("-") : span)).join(", ");

/** The list that a text stands for, null if it is empty; other text as it is, which the server rejects. */
function parseSpans(typed) {
  if (typed.trim() === "") return null;
  const parts = typed.split(",").map((part) => part.trim().match(/^(\d+)(?:\s*[-–]\s*(\d+))?$/));
  if (!parts.every(Boolean)) return parseValue(typed);
  return parts.map(([, first, last]) => (last === undefined ? Number(first) : [Number(first), Number(last)]));
}

/** JSON, or the text itself. */
function parseValue(typed) {
  try {
    return JSON.parse(typed);
  } catch {
    return typed;
  }
}

/** A value's position in the range, 0 to 1. */
const fraction = (value, low, high) => (Math.min(Math.max(value ?? low, low), high) - low) / (high - low);

const numberInput = (label, low, high) =>
  el("input", { type: "number", "aria-label": label, min: low, max: high, step: "any", inputmode: "decimal" });

const slider = (label, low, high, integer) =>
  el("input", { type: "range", "aria-label": label, min: low, max: high, step: integer ? 1 : sliderStep(low, high) });

/** The number in an input; null if it is empty, which the server rejects. */
const numberIn = (input) => (input.value === "" ? null : Number(input.value));
