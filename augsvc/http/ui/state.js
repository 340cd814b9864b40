// What is looked at: one object, written into the address's fragment so that a link shows the same. Never the token.

export const PRESETS = { image: ["none", "light", "standard", "strong"], audio: ["none", "sound"] };
const USUAL = { image: "standard", audio: "sound" };
export const OVERLAYS = ["mask", "boxes", "keypoints"];
const LARGEST = { epoch: 2 ** 24 - 1, view: 255, start: 2 ** 32 - 1, count: 64 };

/** Fields that are null are left to the server. */
export const initial = () => ({
  dataset: "", size: null, fit: null, channels: null, seconds: null, sample_rate: null,
  aug_seed: 0, order_seed: 0, shuffle: true,
  pipeline: "standard", // a preset's name, or a list of operations
  epoch: 0, start: 0, view: 0, count: 8, chosen: 0, // `chosen`: which of the shown samples has its receipt open
  overlays: [],
});

/** The pipeline as it suits a kind of data: a preset of the other kind gives way to the usual one. */
export const suited = (pipeline, media) =>
  typeof pipeline === "string" && !PRESETS[media].includes(pipeline) ? USUAL[media] : pipeline;

/** The specification to send; an audio dataset has seconds and a rate where pictures have a canvas. */
export function specification(state, media) {
  const spec = { dataset: state.dataset, pipeline: state.pipeline };
  const own = media === "audio" ? ["seconds", "sample_rate"] : ["size", "fit", "channels"];
  for (const name of own) if (state[name] !== null) spec[name] = state[name];
  for (const name of ["aug_seed", "order_seed"]) if (state[name] !== 0) spec[name] = state[name];
  if (!state.shuffle) spec.shuffle = false;
  return spec;
}

export function toFragment(state) {
  const usual = initial();
  const said = new URLSearchParams();
  for (const [name, value] of Object.entries(state)) {
    const text = written(name, value);
    if (text !== written(name, usual[name])) said.set(name, text);
  }
  return `#${said}`;
}

const written = (name, value) => (typeof value === "string" ? value : value === null ? "" : JSON.stringify(value));

/** The state that a fragment describes; what cannot be understood is left at its usual value. */
export function fromFragment(fragment) {
  const state = initial();
  for (const [name, text] of new URLSearchParams(fragment.replace(/^#/, ""))) {
    if (!(name in state)) continue;
    const value = understood(name, text, state[name]);
    if (value !== undefined) state[name] = value;
  }
  state.chosen = Math.min(state.chosen, state.count - 1);
  return state;
}

function understood(name, text, usual) {
  if (name === "dataset" || name === "fit") return text || usual;
  if (name === "pipeline" && Object.values(PRESETS).flat().includes(text)) return text;
  let value;
  try {
    value = JSON.parse(text);
  } catch {
    return undefined;
  }
  if (name === "pipeline") return list(value, (one) => typeof one?.op === "string");
  if (name === "overlays") return list(value, (one) => OVERLAYS.includes(one));
  if (name === "size") return Array.isArray(value) && value.length === 2 ? value : undefined;
  if (name === "shuffle") return typeof value === "boolean" ? value : undefined;
  if (name in LARGEST || name === "chosen") return natural(value, name === "count" ? 1 : 0, LARGEST[name] ?? 63);
  return typeof value === "number" ? value : undefined;
}

const list = (value, fits) => (Array.isArray(value) && value.every(fits) ? value : undefined);
const natural = (value, low, high) =>
  Number.isInteger(value) && value >= low ? Math.min(value, high) : undefined;
