// The page's state: one object, written to the URL fragment so that a link reproduces the view. Never the token.

import { MEDIA } from "./medium.js";

/** What a preset is for. */
export const PURPOSES = {
  none: "no operations: the samples as they are",
  light: "small changes: little rotation, shift, colour and noise",
  standard: "moderate changes for most images: rotation, shift, colour, blur and noise",
  strong: "large changes, with shear, gamma, coarse pixels and erased parts",
  letters: "characters on an even ground",
  sound: "any sound: shift, loudness, distortion and noise; no gain measured on spoken words",
  speech: "spoken words: shift and faint noise; no gain measured",
  words: "spoken words: shift and speed; measured to help with voices that were not trained on",
};
export const OVERLAYS = ["mask", "boxes", "keypoints"];
const MIN = { count: 1, views: 1 };
const MAX = { epoch: 2 ** 24 - 1, view: 255, start: 2 ** 32 - 1, count: 64, views: 16 };

/** The initial state; the server chooses the fields that are null. */
export const initial = () => ({
  dataset: "", size: null, fit: null, channels: null, seconds: null, sample_rate: null,
  aug_seed: 0, order_seed: 0, shuffle: true,
  views: 1, // draws of each sample in a batch
  pipeline: "standard", // preset name or list of operations
  epoch: 0, start: 0, view: 0, count: 8, chosen: 0, // `chosen`: the displayed sample whose receipt is open
  overlays: null, // null: `defaultOverlays`
});

/** The pipeline for a medium: a preset of another medium is replaced by the default one. */
export const presetFor = (pipeline, media) =>
  typeof pipeline === "string" && !MEDIA[media].presets.includes(pipeline) ? MEDIA[media].preset : pipeline;

/** The specification to send. */
export function specification(state, media) {
  const spec = { dataset: state.dataset, pipeline: state.pipeline };
  for (const name of MEDIA[media].fields) if (state[name] !== null) spec[name] = state[name];
  for (const name of ["aug_seed", "order_seed"]) if (state[name] !== 0) spec[name] = state[name];
  if (!state.shuffle) spec.shuffle = false;
  if (state.views !== 1) spec.views = state.views;
  return spec;
}

export function toFragment(state) {
  const defaults = initial();
  const params = new URLSearchParams();
  for (const [name, value] of Object.entries(state)) {
    const text = toText(value);
    if (text !== toText(defaults[name])) params.set(name, text);
  }
  return `#${params}`;
}

const toText = (value) => (typeof value === "string" ? value : value === null ? "" : JSON.stringify(value));

/** The state in a fragment, and the names of its fields: `given`, and of those the `invalid` ones, which keep their defaults. */
export function fromFragment(fragment) {
  const state = initial();
  const [given, invalid] = [[], []];
  for (const [name, text] of new URLSearchParams(fragment.replace(/^#/, ""))) {
    if (!(name in state)) continue;
    const value = parseField(name, text, state[name]);
    given.push(name);
    if (value === undefined) invalid.push(name);
    else state[name] = value;
  }
  state.chosen = Math.min(state.chosen, state.count - 1);
  return { state, given, invalid };
}

/** A field's value; undefined if the text is invalid. */
function parseField(name, text, defaultValue) {
  if (name === "dataset" || name === "fit") return text || defaultValue;
  if (name === "pipeline" && Object.values(MEDIA).some(({ presets }) => presets.includes(text))) return text;
  let value;
  try {
    value = JSON.parse(text);
  } catch {
    return undefined;
  }
  if (name === "pipeline") return listOf(value, (entry) => typeof entry?.op === "string");
  if (name === "overlays") return listOf(value, (entry) => OVERLAYS.includes(entry));
  if (name === "size") return Array.isArray(value) && value.length === 2 ? value : undefined;
  if (name === "shuffle") return typeof value === "boolean" ? value : undefined;
  if (name in MAX || name === "chosen") return natural(value, MIN[name] ?? 0, MAX[name] ?? 63);
  return typeof value === "number" ? value : undefined;
}

const listOf = (value, isValid) => (Array.isArray(value) && value.every(isValid) ? value : undefined);
const natural = (value, low, high) =>
  Number.isInteger(value) && value >= low ? Math.min(value, high) : undefined;
