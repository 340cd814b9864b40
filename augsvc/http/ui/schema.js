// From an operation's JSON schema to the control that each parameter needs, and back to a short specification.

const HIDDEN = new Set(["op"]);

/** The parameters of an operation of /v1/ops, in display order: its own, then `p`, border, fill, views, epochs and id. */
export function parameters(operation) {
  const { properties = {}, required = [], $defs = {} } = operation.schema;
  const result = Object.entries(properties)
    .filter(([name]) => !HIDDEN.has(name))
    .map(([name, schema]) => ({
      name,
      default: schema.default ?? schema.examples?.[0],
      required: required.includes(name),
      unit: schema.unit ?? "",
      law: schema.law ?? "",
      ...controlFor(resolve(schema, $defs)),
    }));
  const last = ["p", "border", "fill", "views", "epochs", "id"];
  return result.sort((a, b) => last.indexOf(a.name) - last.indexOf(b.name));
}

function resolve(schema, defs) {
  const name = schema.$ref?.replace("#/$defs/", "");
  return name && name in defs ? { ...defs[name], ...schema } : schema;
}

function controlFor(schema) {
  if (schema.enum) return { kind: "choice", options: schema.enum };
  if (schema.type === "boolean") return { kind: "switch" };
  const forms = schema.anyOf ?? [schema];
  if (forms.some(isListOfSpans)) return { kind: "spans" };
  const number = forms.find((form) => form.type === "number" || form.type === "integer");
  const pair = forms.some((form) => form.type === "array" && form.minItems === 2 && form.maxItems === 2);
  const bounded = number && Number.isFinite(number.minimum) && Number.isFinite(number.maximum);
  if (bounded && (pair || forms.length === 1)) {
    const kind = pair ? "range" : "number";
    return { kind, low: number.minimum, high: number.maximum, integer: number.type === "integer" };
  }
  return { kind: "text", nullable: forms.some((form) => form.type === "null"), plain: forms.some((form) => form.type === "string") };
}

/** Whether a form is a list of numbers and of [first, last] ranges. */
const isListOfSpans = ({ items }) => items?.anyOf?.some((form) => form.maxItems === 2) ?? false;

/** A slider's step: 1, 2 or 5 times a power of ten, about a two-hundredth of the range. */
export function sliderStep(low, high) {
  const rough = (high - low) / 200;
  const unit = 10 ** Math.floor(Math.log10(rough));
  const nice = [1, 2, 5, 10].reduce((best, next) => (Math.abs(next - rough / unit) < Math.abs(best - rough / unit) ? next : best));
  return Number((unit * nice).toPrecision(1));
}

/** An operation's values with defaults filled in, as its card shows them. */
export function withDefaults(operation, entry = {}) {
  const values = {};
  for (const { name, default: defaultValue } of parameters(operation)) {
    values[name] = name in entry ? entry[name] : (defaultValue ?? null);
  }
  return values;
}

/** The reverse, as short as a person would write it: drawn and required parameters always, others unless at their default. */
export function toEntry(operation, values) {
  const entry = { op: operation.name };
  for (const { name, kind, required, default: defaultValue } of parameters(operation)) {
    const value = values[name];
    const isDefaultId = name === "id" && new RegExp(`^${operation.name}(#\\d+)?$`).test(value ?? ""); // as the server makes it
    if (kind === "range") entry[name] = isFixed(value) ? value[0] : value;
    else if (required) entry[name] = value;
    else if (!isDefaultId && JSON.stringify(value) !== JSON.stringify(defaultValue ?? null)) entry[name] = value;
  }
  return entry;
}

const isFixed = (value) => Array.isArray(value) && value.length === 2 && value[0] === value[1];
