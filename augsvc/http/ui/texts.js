// The pipeline as text to take along: Python, JSON, curl. The token is never in it.

const USUAL_BATCH = 64;

/** A loader that gives what the page shows; runs as it stands where augsvc_client is installed. */
export function python({ url, spec, stream, epoch, view, media }) {
  const words = { ...spec, batch_size: Math.min(USUAL_BATCH, stream.samples) };
  if (view) words.view = view;
  const lines = Object.entries(words).map(([name, value]) => `    ${name}=${name === "size" ? tuple(value) : literal(value, 4)},`);
  const said = [`    ${literal(url)},`, ...lines].join("\n");
  const from = epoch ? `loader.set_epoch(${epoch})\n` : "";
  return `from augsvc_client import RemoteDataLoader\n\nloader = RemoteDataLoader(\n${said}\n)\n${from}` +
    `for batch in loader:  # one epoch; the next loop is the next epoch\n    ${media === "audio" ? "clips" : "images"}, labels = ` +
    `batch["${media === "audio" ? "audio" : "image"}"], batch["label"]\n`;
}

export const json = ({ spec }) => `${pretty(spec, 0)}\n`;

/** Opens the stream and fetches the batch that the page shows. */
export function curl({ url, spec, stream, epoch, start, count, view, token }) {
  const key = token ? ` \\\n  -H "Authorization: Bearer $AUGSVC_TOKEN"` : "";
  const batch = `${url}/v1/streams/${stream.id}/epochs/${epoch}?start=${start}&count=${count}&view=${view}`;
  return `curl -sS --fail-with-body ${quoted(`${url}/v1/streams`)}${key} \\\n  -H 'Content-Type: application/json' \\\n` +
    `  -d ${quoted(pretty(spec, 2))}\n\n` +
    `curl -sS --fail-with-body ${quoted(batch)}${key} \\\n  -H 'Augsvc-Spec: ${stream.header}' \\\n  -o batch.safetensors\n`;
}

const quoted = (text) => `'${text.replaceAll("'", "'\\''")}'`;
const tuple = (values) => `(${values.map((value) => literal(value)).join(", ")})`;

/** A JSON value as Python writes it; a list of objects takes a line for each. */
function literal(value, indent = 0) {
  if (value === null) return "None";
  if (typeof value === "boolean") return value ? "True" : "False";
  if (Array.isArray(value)) return sequence(value, indent, literal);
  if (typeof value === "object") return mapping(value, literal);
  return JSON.stringify(value);
}

function pretty(value, indent) {
  const inner = " ".repeat(indent + 2);
  const lines = Object.entries(value).map(([name, one]) => `${inner}${JSON.stringify(name)}: ${compact(one, indent + 2)}`);
  return `{\n${lines.join(",\n")}\n${" ".repeat(indent)}}`;
}

function compact(value, indent = 0) {
  if (Array.isArray(value)) return sequence(value, indent, compact);
  return value !== null && typeof value === "object" ? mapping(value, compact) : JSON.stringify(value);
}

function sequence(values, indent, write) {
  if (!values.some((value) => value !== null && typeof value === "object")) return `[${values.map((one) => write(one)).join(", ")}]`;
  const inner = " ".repeat(indent + 4 - (write === compact ? 2 : 0));
  return `[\n${values.map((value) => inner + write(value)).join(",\n")}\n${" ".repeat(indent)}]`;
}

const mapping = (value, write) =>
  `{${Object.entries(value).map(([name, one]) => `${JSON.stringify(name)}: ${write(one)}`).join(", ")}}`;
