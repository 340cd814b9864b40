// An operation's JSON schema → what kind of control each parameter needs, and back to a short specification.

const HIDDEN = new Set(["op"]);

/** The parameters of an operation of /v1/ops, in the order to show them: its own, then `p`, border and id. */
export function parameters(operation) {
  const { properties = {}, $defs = {} } = operation.schema;
  const found = Object.entries(properties)
    .filter(([name]) => !HIDDEN.has(name))
    .map(([name, schema]) => ({ name, default: schema.default, ...control(resolved(schema, $defs)) }));
  const late = ["p", "border", "id"];
  return found.sort((a, b) => late.indexOf(a.name) - late.indexOf(b.name));
}

function resolved(schema, defs) {
  const name = schema.$ref?.replace("#/$defs/", "");
  return name && name in defs ? { ...defs[name], ...schema } : schema;
}

function control(schema) {
  if (schema.enum) return { kind: "choice", options: schema.enum };
  if (schema.type === "boolean") return { kind: "switch" };
  const forms = schema.anyOf ?? [schema];
  const number = forms.find((form) => form.type === "number" || form.type === "integer");
  const pair = forms.some((form) => form.type === "array" && form.minItems === 2 && form.maxItems === 2);
  const bounded = number && Number.isFinite(number.minimum) && Number.isFinite(number.maximum);
  if (bounded && pair) return { kind: "range", low: number.minimum, high: number.maximum };
  if (bounded && forms.length === 1) {
    return { kind: "number", low: number.minimum, high: number.maximum, integer: number.type === "integer" };
  }
  return { kind: "text", nullable: forms.some((form) => form.type === "null"), plain: forms.some((form) => form.type === "string") };
}

/** A step of a slider: 1, 2 or 5 times a power of ten, about two hundred to the whole. */
export function step(low, high) {
  const rough = (high - low) / 200;
  const unit = 10 ** Math.floor(Math.log10(rough));
  const nice = [1, 2, 5, 10].reduce((best, one) => (Math.abs(one - rough / unit) < Math.abs(best - rough / unit) ? one : best));
  return Number((unit * nice).toPrecision(1));
}

/** An operation with every default filled in: what its card shows. */
export function filled(operation, entry = {}) {
  const values = {};
  for (const { name, default: usual } of parameters(operation)) {
    values[name] = name in entry ? entry[name] : (usual ?? null);
  }
  return values;
}

/** The other way: as a person would write it. Drawn parameters are always said, the rest where it is not the default. */
export function written(operation, values) {
  const entry = { op: operation.name };
  for (const { name, kind, default: usual } of parameters(operation)) {
    const value = values[name];
    const own = name === "id" && new RegExp(`^${operation.name}(#\\d+)?$`).test(value ?? ""); // the server's own choice
    if (kind === "range") entry[name] = fixed(value) ? value[0] : value;
    else if (!own && JSON.stringify(value) !== JSON.stringify(usual ?? null)) entry[name] = value;
  }
  return entry;
}

const fixed = (value) => Array.isArray(value) && value.length === 2 && value[0] === value[1];
