// The gallery: every operation that the server has, by family, and one of them in detail at #name.

import * as api from "./api.js";
import { $, el, formatNumber, set } from "./dom.js";
import { MEDIA } from "./medium.js";
import { parameters, toEntry, withDefaults } from "./schema.js";
import { compact } from "./snippets.js";
import { initial, toFragment } from "./state.js";

const EVERY_STEP = new Set(["id", "views", "epochs"]); // fields that every operation has
const PRIVATE = "private";
let operations = new Map();
let cards = []; // { operation, node }

async function begin() {
  try {
    operations = new Map((await api.operations()).map((operation) => [operation.name, operation]));
  } catch (error) {
    if (error.status === 401) lock();
    else set($("#notice"), { hidden: false }).textContent = error.message;
    return;
  }
  $("#token").hidden = true;
  $("#notice").hidden = true;
  $("#count").textContent = `${operations.size} operations`;
  listCards();
  route();
}

/** Families in order: images, audio, containers, private operations. */
function listCards() {
  const families = new Map();
  for (const operation of operations.values()) {
    const family = operation.family === null ? PRIVATE : operation.media === null ? "containers" : `${operation.media}: ${operation.family}`;
    families.set(family, [...(families.get(family) ?? []), operation]);
  }
  const rank = (family) => [...Object.keys(MEDIA), "containers", PRIVATE].findIndex((start) => family.startsWith(start));
  const names = [...families.keys()].sort((a, b) => rank(a) - rank(b) || a.localeCompare(b));
  cards = [];
  $("#families").replaceChildren(...names.map((family) => {
    const items = families.get(family).map((operation) => {
      const node = el("li", {}, card(operation));
      cards.push({ operation, node });
      return node;
    });
    return el("section", { "data-family": family }, el("h2", {}, capitalize(family)), el("ul", { class: "cards" }, ...items));
  }));
}

function card(operation) {
  return el("a", { class: "card", href: `#${operation.name}` },
    el("span", { class: "head" }, el("span", { class: "name" }, operation.name), el("span", { class: "quiet" }, operation.kind)),
    strip(operation, ""), el("p", {}, ...marked(operation.summary)));
}

/** The strip of an operation of the package; null for a private one, and for containers. */
function strip({ name, family, kind }, alt) {
  if (family === null || family === "containers") return null;
  return el("img", { class: "strip", src: `assets/${name}.webp`, alt, loading: "lazy", decoding: "async", "data-kind": kind });
}

function filter() {
  const words = $("#filter").value.toLowerCase().split(/\s+/).filter(Boolean);
  for (const { operation, node } of cards) {
    const { name, kind, family, summary, notes, elsewhere } = operation;
    const text = [name, kind, family, summary, notes ?? "", ...Object.values(elsewhere)].join(" ").toLowerCase();
    node.hidden = !words.every((word) => text.includes(word));
  }
  for (const section of $("#families").children) section.hidden = !section.querySelector("li:not([hidden])");
  $("#no-match").hidden = cards.some(({ node }) => !node.hidden);
}

/** Shows the operation that the fragment names, or the list. */
function route() {
  const operation = operations.get(decodeURIComponent(location.hash.slice(1)));
  $("#list").hidden = Boolean(operation);
  $("#detail").hidden = !operation;
  document.title = `${operation?.name ?? "Operations"} · augsvc`;
  if (!operation) return;
  $("#detail").replaceChildren(...detail(operation));
  scrollTo(0, 0);
  $("#detail .title").focus({ preventScroll: true });
}

function detail(operation) {
  const { name, summary, notes } = operation;
  const link = `./${toFragment({ ...initial(), pipeline: [example(operation)] })}`;
  return [
    el("a", { href: "#" }, "All operations"),
    el("h2", { class: "title", tabindex: "-1" }, name),
    el("p", {}, ...marked(summary)),
    notes ? el("p", { class: "notes quiet" }, ...marked(paragraphs(notes))) : "",
    strip(operation, `The original and ${name} at several strengths`) ?? "",
    facts(operation),
    el("h3", {}, "Parameters"), el("div", { class: "wide" }, table(operation)),
    el("p", { class: "quiet" }, "Every operation also has id, views and epochs."),
    el("h3", {}, "Example"), el("pre", { class: "code", tabindex: "0" }, compact([example(operation)])),
    MEDIA[operation.media ?? "image"].opens ? el("a", { href: link }, "Open in the workbench") : "",
  ];
}

function facts({ kind, labels, continuous, elsewhere }) {
  const names = Object.entries(elsewhere).map(([library, text]) => `${library} ${text}`).join(" · ");
  const rows = [["Kind", kind], ["Labels", labels], ["Continuous", continuous ? "yes" : "no: it has jumps"], ["Elsewhere", names]];
  return el("dl", { class: "facts" }, ...rows.filter(([, text]) => text).flatMap(([term, text]) => [el("dt", {}, term), el("dd", {}, ...marked(text))]));
}

function table(operation) {
  const rows = parameters(operation).filter(({ name }) => !EVERY_STEP.has(name)).map((parameter) => el("tr", {},
    el("th", { scope: "row" }, parameter.name), el("td", { "data-label": "Values" }, values(parameter)),
    el("td", { "data-label": "Unit" }, parameter.unit),
    el("td", { "data-label": "Default" }, parameter.required ? "required" : formatDefault(parameter)),
    el("td", { "data-label": "Drawn" }, parameter.law)));
  const head = ["Name", "Values", "Unit", "Default", "Drawn"].map((text) => el("th", { scope: "col" }, text));
  return el("table", { class: "values" }, el("thead", {}, el("tr", {}, ...head)), el("tbody", {}, ...rows));
}

function values({ kind, low, high, options, integer, plain: isText }) {
  const numbers = `${number(low)} … ${number(high)}${integer ? ", whole" : ""}`;
  return { range: `${numbers}, or [low, high]`, number: numbers, choice: options?.join(", "), switch: "true, false" }[kind] ?? (isText ? "text" : "list");
}

function formatDefault({ kind, default: value }) {
  if (kind !== "range") return typeof value === "string" ? value : (JSON.stringify(value) ?? "none");
  const [low, high] = [value].flat();
  return low === high || high === undefined ? number(low) : `${number(low)} … ${number(high)}`;
}

/** The operation with its defaults, as short as a person would write it. */
const example = (operation) => toEntry(operation, withDefaults(operation));
const number = (value) => formatNumber(value, 4).replace("-", "−");
/** A text of the server whose `code` is marked. */
const marked = (text) => text.split("`").map((part, i) => (i % 2 ? el("code", {}, part) : part));
const paragraphs = (text) => text.split(/\n\n+/).map((part) => part.replaceAll("\n", " ")).join("\n\n");
const capitalize = (text) => text.charAt(0).toUpperCase() + text.slice(1);

function lock() {
  const rejected = api.hasToken();
  api.setToken("");
  $("#token").hidden = false;
  $("#count").textContent = "locked";
  $("#token-error").hidden = !rejected;
  $("#token-error").textContent = rejected ? "Invalid token." : "";
  $("#token-text").focus();
}

$("#token").addEventListener("submit", (event) => {
  event.preventDefault();
  api.setToken($("#token-text").value);
  begin();
});
$("#filter").addEventListener("input", filter);
addEventListener("hashchange", route);
begin();
