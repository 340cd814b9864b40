// Building elements. Text from the server only becomes text nodes, never HTML.

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

/** A copy of the icon in the page's <template> with that name. */
export const icon = (name) => $(`#icon-${name}`).content.firstElementChild.cloneNode(true);

const SHORT = { 9: "\\t", 10: "\\n", 13: "\\r" };
/** Foreign text, such as a class, file or job name, with unprintable characters escaped as by the server ("\\x1b", "\\u202e"):
 *  marks of direction could display a name in another order. */
export const printable = (text) =>
  text.replace(/[\p{C}\p{Zl}\p{Zp}]|(?! )\p{Zs}/gu, (character) => {
    const code = character.codePointAt(0);
    if (code in SHORT) return SHORT[code];
    const [prefix, digits] = code < 0x100 ? ["x", 2] : code < 0x10000 ? ["u", 4] : ["U", 8];
    return `\\${prefix}${code.toString(16).padStart(digits, "0")}`;
  });

let counter = 0;
/** A unique element id. */
export const uniqueId = (stem) => `${stem}-${(counter += 1)}`;

/** Announces a text to screen readers without moving the focus. */
export function announce(text) {
  $("#announcer").textContent = text;
}

/** Delays `work` until `ms` have passed without another call. */
export function debounce(work, ms) {
  let timer = 0;
  return (...args) => {
    clearTimeout(timer);
    timer = setTimeout(() => work(...args), ms);
  };
}

const integerFormat = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
export const formatInteger = (number) => integerFormat.format(number);

/** A number with at most `digits` decimals and no trailing zeros. */
export const formatNumber = (number, digits = 3) => String(Number(Number(number).toFixed(digits)));

export function formatBytes(number) {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let unit = 0;
  for (; number >= 1000 && unit < units.length - 1; unit += 1) number /= 1000;
  return `${formatNumber(number, number < 10 && unit ? 1 : 0)} ${units[unit]}`;
}
