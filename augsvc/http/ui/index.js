// The page: one state, what the server makes of it, and the parts that show it.

import * as api from "./api.js";
import { Copy } from "./copy.js";
import { Data } from "./data.js";
import { $, announce, quiet, set } from "./dom.js";
import { Inspector } from "./inspector.js";
import { Live } from "./live.js";
import { available, legend } from "./overlay.js";
import { Pipeline } from "./pipeline.js";
import { Sheet } from "./sheet.js";
import { stop as silence } from "./sound.js";
import { fromFragment, specification, toFragment } from "./state.js";
import { Toolbar } from "./toolbar.js";

const SETTLE_MS = 120; // between a slider's last move and the question to the server
const AGAIN_MS = 1500; // between two tries while the server starts or is away
const CANVAS = [128, 128]; // where a dataset's samples differ in size and none is chosen
const CLIP = { seconds: 1, sample_rate: 16000 }; // the same for clips
const FAVOURITE = "photos/train";

let state = fromFragment(location.hash);
let datasets = new Map();
let current = null; // the AbortController of what is being asked
let changes = 0; // so far: what was asked before the last one is shown, and the sheet stays busy
let plain = { key: "", tensors: null }; // the originals asked for last
let seen = null; // what is on the sheet
let retry = 0;
let away = false; // the last look at /metrics found no server

const data = new Data((change) => ("dataset" in change ? choose(change) : update(change)));
const pipeline = new Pipeline((chosen) => update({ pipeline: chosen }));
const toolbar = new Toolbar((change) => ("overlays" in change ? overlay(change) : update({ ...change, chosen: change.chosen ?? state.chosen })));
const sheet = new Sheet((at) => pick(at));
const inspector = new Inspector();
const copy = new Copy();
const live = new Live({ answered, failed });
const later = quiet(load, SETTLE_MS);

const media = () => datasets.get(state.dataset)?.media ?? "image";
const remember = () => history.replaceState(null, "", toFragment(state));

function update(change) {
  Object.assign(state, change);
  remember();
  changes += 1;
  set($("#sheet"), { "aria-busy": "true" });
  later();
}

/** Another dataset: from its beginning, without the operations that are not for it. */
function choose({ dataset }) {
  state = { ...state, dataset, start: 0, chosen: 0, size: null, channels: null, seconds: null, sample_rate: null };
  state.pipeline = pipeline.suit(media(), state.pipeline);
  if (Array.isArray(state.pipeline)) pipeline.show(state.pipeline, state.pipeline);
  data.show(state);
  update({});
}

function overlay({ overlays }) {
  state.overlays = overlays;
  remember();
  sheet.overlay(overlays);
  inspector.overlay(overlays);
  if (seen) legend($("#legend"), seen.augmented, overlays, seen.classes);
}

async function begin() {
  clearTimeout(retry);
  try {
    const [version, known, operations] = await Promise.all([api.version(), api.datasets(), api.operations()]);
    datasets = new Map(known.map((dataset) => [dataset.name, dataset]));
    data.learn(known);
    pipeline.learn(operations);
    $("#server").textContent = `${version.version} · ${version.executor} on ${version.device}`;
    set($("#server"), { title: `arithmetic ${version.arithmetic}` });
    unlock();
    restore();
    live.start();
  } catch (error) {
    trouble(error, begin);
  }
}

/** Shows the state as a link gave it. */
function restore() {
  if (!datasets.has(state.dataset) && !state.dataset) {
    state.dataset = datasets.has(FAVOURITE) ? FAVOURITE : (datasets.keys().next().value ?? "");
  }
  state.pipeline = pipeline.suit(media(), state.pipeline);
  if (Array.isArray(state.pipeline)) pipeline.show(state.pipeline, state.pipeline);
  data.show(state);
  toolbar.show(state);
  load();
}

async function load() {
  current?.abort();
  current = new AbortController();
  const { signal } = current;
  const asked = changes;
  const settled = () => asked === changes && set($("#sheet"), { "aria-busy": "false" });
  clearTimeout(retry);
  set($("#sheet"), { "aria-busy": "true" });
  try {
    const spec = specification(state, media());
    const [stream, before] = await Promise.all([api.open(spec, signal), api.open({ ...spec, pipeline: [] }, signal)]);
    if (state.start >= stream.samples) state.start = Math.max(0, stream.samples - 1);
    const place = { epoch: state.epoch, start: state.start, count: state.count, view: state.view };
    const [augmented, originals] = await Promise.all([api.batch(stream, place, signal), original(before, place, signal)]);
    show({ ...place, spec, stream, originals, augmented, audio: "audio" in augmented });
    await inspect(signal);
    settled();
  } catch (error) {
    if (error.name === "AbortError") return;
    settled();
    trouble(error, load);
  }
}

/** The same positions without operations; they stay while only the pipeline changes. */
async function original(stream, place, signal) {
  const key = JSON.stringify([stream.id, place]);
  if (plain.key !== key) plain = { key, tensors: await api.batch(stream, place, signal) };
  return plain.tensors;
}

function show(found) {
  silence();
  const classes = datasets.get(state.dataset)?.classes ?? [];
  seen = { ...found, shown: state.overlays, classes };
  state.chosen = Math.min(state.chosen, found.augmented.index.shape[0] - 1);
  forgive();
  remember();
  if (typeof state.pipeline === "string") pipeline.show(state.pipeline, found.stream.spec.pipeline);
  data.hint(found.stream.spec);
  toolbar.show(state, found.stream.samples);
  toolbar.offer(available(found.augmented), state.overlays);
  sheet.show(seen);
  legend($("#legend"), found.augmented, state.overlays, classes);
  set($("#sheet"), { "data-shown": [found.stream.id, found.epoch, found.start, found.view].join("/") });
  const url = new URL(".", location.href).href.replace(/\/$/, "");
  copy.show({ ...found, url, media: media(), token: api.hasToken() });
}

async function inspect(signal) {
  const [mine, at] = [seen, state.chosen];
  sheet.mark(at);
  inspector.show(mine, at);
  const receipt = await api.receipt(mine.stream, mine, mine.start + at, signal);
  if (mine === seen && at === state.chosen) inspector.tell(receipt, mine.stream.spec.pipeline);
}

/** A person wants to see this sample's receipt. */
async function pick(at) {
  state.chosen = at;
  remember();
  try {
    await inspect();
    announce($("#inspector-title").textContent);
    const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
    $("#inspector").scrollIntoView({ block: "nearest", behavior: calm ? "auto" : "smooth" });
  } catch (error) {
    trouble(error, load);
  }
}

/** Says what is wrong where it is wrong; what will pass by itself is tried again. */
function trouble(error, again) {
  if (error.status === 401) return lock();
  if (error.code === "size_required" && error.field === "size" && state.size === null) {
    state.size = [...CANVAS];
    data.show(state);
    return update({});
  }
  if (error.code === "size_required" && error.field in CLIP && state[error.field] === null) {
    state[error.field] = CLIP[error.field];
    data.show(state);
    return update({});
  }
  if (error.passing) {
    const words = error.code === "starting" ? "The server is starting: it tests its arithmetic first." : error.message;
    notice(`${sentence(words)} Trying again …`);
    retry = setTimeout(again, AGAIN_MS);
    return undefined;
  }
  forgive();
  $("#stage").classList.add("stale");
  const place = error.field ?? "";
  const name = { "size.0": "height", "size.1": "width" }[place] ?? place.split(".").at(-1);
  const words = error.message.replace(place, name); // it stands at its control
  if (pipeline.complain(place, words) || data.complain(place, words)) {
    notice(`One setting needs a look; ${seen ? "these are the pictures of the last that worked" : "then there are pictures"}.`, "mild");
    announce(words);
  } else {
    notice(sentence(error.message || "Something went wrong on this page."));
  }
  return undefined;
}

function failed(error) {
  if (error.status === 401) return lock();
  away = error.passing;
  if (away) notice(`${sentence(error.message)} Trying again …`);
  return undefined;
}

function answered() {
  if (away) load();
  away = false;
}

const sentence = (words) => `${words.charAt(0).toUpperCase()}${words.slice(1)}${/[.…!?]$/.test(words) ? "" : "."}`;

function notice(text, kind = "") {
  const node = $("#notice");
  if (node.textContent !== text) node.textContent = text;
  node.className = `notice ${kind}`;
  node.hidden = false;
}

function forgive() {
  $("#notice").hidden = true;
  $("#stage").classList.remove("stale");
  pipeline.forgive();
  data.forgive();
}

function lock() {
  const wrong = api.hasToken();
  api.keep("");
  live.stop();
  forgive();
  $("#workbench").hidden = true;
  $("#token").hidden = false;
  $("#server").textContent = "locked";
  $("#token-error").hidden = !wrong;
  $("#token-error").textContent = wrong ? "This server does not know that token." : "";
  $("#token-text").focus();
}

function unlock() {
  $("#token").hidden = true;
  $("#token-text").value = "";
  $("#workbench").hidden = false;
  $("#notice").hidden = true;
}

$("#token").addEventListener("submit", (event) => {
  event.preventDefault();
  api.keep($("#token-text").value);
  begin();
});
addEventListener("hashchange", () => {
  state = fromFragment(location.hash);
  if (datasets.size) restore();
});
const dark = matchMedia("(prefers-color-scheme: dark)");
dark.addEventListener("change", () => seen?.audio && sheet.show(seen)); // waveforms are drawn in the text's colour
const narrow = matchMedia("(max-width: 899px)");
const fold = () => ($("#settings").open = !narrow.matches);
narrow.addEventListener("change", fold);
fold();
begin();
