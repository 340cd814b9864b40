// Building elements. Text from the server only ever becomes text nodes.

/** An element: `el("button", { class: "quiet", onclick: f, "aria-label": "…" }, child, "text")`. */
export function el(tag, properties = {}, ...children) {
  const node = document.createElement(tag);
  set(node, properties);
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
}

/** Sets attributes, listeners (`onclick`) and custom properties (`--low`); null and false leave an attribute out. */
export function set(node, properties) {
  for (const [name, value] of Object.entries(properties)) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (name.startsWith("--")) node.style.setProperty(name, value);
    else if (name === "value") node.value = value;
    else if (value === null || value === undefined || value === false) node.removeAttribute(name);
    else node.setAttribute(name, value === true ? "" : value);
  }
  return node;
}

export const $ = (selector, root = document) => root.querySelector(selector);

/** A copy of a <template> of the page: icons are drawn there. */
export const icon = (name) => $(`#icon-${name}`).content.firstElementChild.cloneNode(true);

let counter = 0;
/** An id that no other element has. */
export const fresh = (stem) => `${stem}-${(counter += 1)}`;

/** Says something to screen readers without moving anything. */
export function announce(text) {
  $("#announcer").textContent = text;
}

/** Calls `work` once things have been quiet for `ms`. */
export function quiet(work, ms) {
  let timer = 0;
  return (...args) => {
    clearTimeout(timer);
    timer = setTimeout(() => work(...args), ms);
  };
}

const plain = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
export const whole = (number) => plain.format(number);

/** A number as short as it may be: at most `digits` after the point, no trailing zeros. */
export const short = (number, digits = 3) => String(Number(Number(number).toFixed(digits)));

export function bytes(number) {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let at = 0;
  for (; number >= 1000 && at < units.length - 1; at += 1) number /= 1000;
  return `${short(number, number < 10 && at ? 1 : 0)} ${units[at]}`;
}
