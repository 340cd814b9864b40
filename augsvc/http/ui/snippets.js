// The current stream as Python, JSON and curl snippets. They never contain the token.

import { MEDIA } from "./medium.js";

const BATCH_SIZE = 64;
// what samples have beside their class, a line of the loop for each
const TARGETS = [["boxes", "box_labels", "boxes_valid", "mask_bits"], ["keypoints", "keypoints_valid"], ["mask"], ["target"], ["lengths"]];

/** A loader for the displayed stream; runs unchanged where augsvc_client is installed. */
export function python({ url, spec, stream, epoch, view, views, media, augmented }) {
  const keywords = { ...spec, batch_size: Math.min(BATCH_SIZE, stream.samples) };
  if (view) keywords.view = view;
  const lines = Object.entries(keywords).map(([name, value]) => `    ${name}=${name === "size" ? tuple(value) : literal(value, 4)},`);
  const loaderArguments = [`    ${literal(url)},`, ...lines].join("\n");
  const setEpoch = epoch ? `loader.set_epoch(${epoch})\n` : "";
  const { variable } = MEDIA[media];
  const draws = Array.from({ length: views }, (_, k) => k || ""); // image, image1, …
  const names = draws.map((k) => `${variable}${k}`).join(", ");
  const tensors = draws.map((k) => `batch["${media}${k}"]`).join(", ");
  return `from augsvc_client import RemoteDataLoader\n\nloader = RemoteDataLoader(\n${loaderArguments}\n)\n${setEpoch}` +
    `for batch in loader:  # one epoch; the next loop is the next epoch\n    ${names}, labels = ${tensors}, batch["label"]\n` +
    draws.flatMap((k) => TARGETS.map((group) => unpack(group.map((name) => `${name}${k}`).filter((name) => name in augmented)))).join("");
}

/** A line that takes these tensors from a batch, by their names. */
const unpack = (names) =>
  names.length ? `    ${names.join(", ")} = ${names.map((name) => `batch["${name}"]`).join(", ")}\n` : "";

export const json = ({ spec }) => `${pretty(spec, 0)}\n`;

/** Opens the stream and fetches the displayed batch. */
export function curl({ url, spec, stream, epoch, start, count, view, token }) {
  const authorization = token ? ` \\\n  -H "Authorization: Bearer $AUGSVC_TOKEN"` : "";
  const batch = `${url}/v1/streams/${stream.id}/epochs/${epoch}?start=${start}&count=${count}&view=${view}`;
  return `curl -sS --fail-with-body ${shellQuote(`${url}/v1/streams`)}${authorization} \\\n  -H 'Content-Type: application/json' \\\n` +
    `  -d ${shellQuote(pretty(spec, 2))}\n\n` +
    `curl -sS --fail-with-body ${shellQuote(batch)}${authorization} \\\n  -H 'Augsvc-Spec: ${stream.header}' \\\n  -o batch.safetensors\n`;
}

const shellQuote = (text) => `'${text.replaceAll("'", "'\\''")}'`;
const tuple = (values) => `(${values.map((value) => literal(value)).join(", ")})`;

/** A JSON value as a Python literal, one line for each step of a pipeline or a container. */
function literal(value, indent = 0) {
  if (value === null) return "None";
  if (typeof value === "boolean") return value ? "True" : "False";
  return nested(value, indent, 4, literal);
}

function pretty(value, indent) {
  const inner = " ".repeat(indent + 2);
  const lines = Object.entries(value).map(([name, field]) => `${inner}${JSON.stringify(name)}: ${compact(field, indent + 2)}`);
  return `{\n${lines.join(",\n")}\n${" ".repeat(indent)}}`;
}

/** A value as JSON, one line for each step of a pipeline or a container. */
export const compact = (value, indent = 0) => nested(value, indent, 2, compact);

/** A value that `write` writes the parts of; a list of objects has a line for each, `step` further in. */
function nested(value, indent, step, write) {
  if (value === null || typeof value !== "object") return JSON.stringify(value);
  if (!Array.isArray(value)) {
    return `{${Object.entries(value).map(([name, field]) => `${JSON.stringify(name)}: ${write(field, indent)}`).join(", ")}}`;
  }
  const isPlain = (item) => item === null || typeof item !== "object" || Array.isArray(item);
  if (value.every(isPlain)) return `[${value.map((item) => write(item, indent)).join(", ")}]`;
  const inner = " ".repeat(indent + step);
  return `[\n${value.map((item) => inner + write(item, indent + step)).join(",\n")}\n${" ".repeat(indent)}]`;
}
