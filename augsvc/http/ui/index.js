// The page: one state, the batches that the server returns for it, and the components that display them.

import * as api from "./api.js";
import { Data } from "./data.js";
import { $, announce, debounce, set } from "./dom.js";
import { ExportPanel } from "./export.js";
import { Inspector } from "./inspector.js";
import { Live } from "./live.js";
import { MEDIA, mediumOf } from "./medium.js";
import { availableOverlays, defaultOverlays, showLegend } from "./overlay.js";
import { Pipeline } from "./pipeline.js";
import { Sheet } from "./sheet.js";
import { stop as stopPlayback } from "./sound.js";
import { hideStarting, showStarting } from "./starting.js";
import { fromFragment, specification, toFragment } from "./state.js";
import { Toolbar } from "./toolbar.js";

const DEBOUNCE_MS = 120; // between a slider's last move and the request
const RETRY_MS = 1500; // while the server starts or is unreachable
const DEFAULTS = { size: [128, 128], seconds: 1, sample_rate: 16000 }; // for datasets whose samples differ in them
const DEFAULT_DATASET = "photos/train"; // of a server without datasets of the operator

let link = fromFragment(location.hash); // what the address says
let { state } = link;
let linkNotice = ""; // what of the link is not shown as it says, until the next change
let datasets = new Map();
let pending = null; // the AbortController of the requests in flight
let changes = 0; // counts changes: the sheet stays busy until the last one is displayed
let originals = { key: "", tensors: null }; // the batch of originals that was fetched last
let displayed = null; // the batch on the sheet
let chosenView = 0; // of the displayed sample's views
let retryTimer = 0;
let unreachable = false; // whether the last poll of /metrics failed

const data = new Data((change) => ("dataset" in change ? selectDataset(change.dataset) : update(change)));
const pipeline = new Pipeline((chosen) => update({ pipeline: chosen }));
const toolbar = new Toolbar((change) =>
  "overlays" in change ? setOverlays(change.overlays) : update({ ...change, chosen: change.chosen ?? state.chosen }));
const sheet = new Sheet(selectSample);
const inspector = new Inspector(selectView);
const exportPanel = new ExportPanel();
const live = new Live({ succeeded: pollSucceeded, failed: pollFailed });
const loadSoon = debounce(load, DEBOUNCE_MS);

const media = () => datasets.get(state.dataset)?.media ?? "image";
const saveState = () => history.replaceState(null, "", toFragment(state));

function update(change) {
  Object.assign(state, change);
  linkNotice = "";
  saveState();
  changes += 1;
  set($("#sheet"), { "aria-busy": "true" });
  loadSoon();
}

/** Switches to another dataset: from its first position, without operations of another medium. */
function selectDataset(dataset) {
  state = { ...state, dataset, start: 0, chosen: 0, size: null, channels: null, seconds: null, sample_rate: null };
  showSettings();
  update({});
}

function setOverlays(overlays) {
  state.overlays = overlays;
  saveState();
  sheet.overlay(overlays);
  inspector.overlay(overlays);
  if (displayed) showLegend($("#legend"), displayed.augmented, overlays, displayed.classes);
}

async function begin() {
  clearTimeout(retryTimer);
  try {
    const [version, available, operations] = await Promise.all([api.version(), api.datasets(), api.operations()]);
    datasets = new Map(available.map((dataset) => [dataset.name, dataset]));
    data.setDatasets(available);
    pipeline.setOperations(operations);
    $("#server").textContent = `${version.version} · ${version.executor} on ${version.device}`;
    set($("#server"), { title: `arithmetic ${version.arithmetic ?? version.arithmetic_state}` });
    unlock();
    restore();
    live.start();
  } catch (error) {
    handleError(error, begin);
  }
}

/** Displays the state that a link describes. */
function restore() {
  if (!state.dataset) state.dataset = firstDataset();
  const asked = state.pipeline;
  showSettings();
  linkNotice = [
    link.invalid.length ? `The link has no valid ${link.invalid.join(", ")}; the defaults are shown.` : "",
    link.given.includes("pipeline") ? explainPipeline(asked, state.pipeline) : "",
  ].filter(Boolean).join(" ");
  toolbar.show(state);
  load();
}

/** What to say where the dataset's medium has another pipeline than the link; nothing where it is the same. */
function explainPipeline(asked, shown) {
  const medium = { image: "images", audio: "sound" }[media()];
  if (typeof asked === "string") return asked === shown ? "" : `The link’s preset ${asked} is not for ${medium}; ${shown} is shown.`;
  return asked.length === shown.length ? "" : `Operations of the link that are not for ${medium} are left out.`;
}

/** The operator's first dataset, of several splits the one to train on. */
function firstDataset() {
  const own = [...datasets.values()].filter((dataset) => !dataset.built_in).map(({ name }) => name);
  const [first = DEFAULT_DATASET] = own;
  const training = `${first.split("/")[0]}/train`;
  return own.includes(training) ? training : first;
}

function showSettings() {
  state.pipeline = pipeline.setMedia(media(), state.pipeline);
  if (Array.isArray(state.pipeline)) pipeline.show(state.pipeline, state.pipeline);
  data.show(state);
}

async function load() {
  pending?.abort();
  pending = new AbortController();
  const { signal } = pending;
  const change = changes;
  const settle = () => change === changes && set($("#sheet"), { "aria-busy": "false" });
  clearTimeout(retryTimer);
  set($("#sheet"), { "aria-busy": "true" });
  try {
    fillRequired();
    const spec = specification(state, media());
    const { views = 1, ...common } = spec;
    const [stream, plain] = await Promise.all([api.open(spec, signal), api.open({ ...common, pipeline: [] }, signal)]);
    if (state.start >= stream.samples) state.start = Math.max(0, stream.samples - 1);
    const address = { epoch: state.epoch, start: state.start, count: state.count, view: state.view };
    const [augmented, original] = await Promise.all([api.batch(stream, address, signal), loadOriginals(plain, address, signal)]);
    show({ ...address, views, spec, stream, originals: original, augmented, media: mediumOf(augmented) });
    await inspect(signal);
    settle();
  } catch (error) {
    if (error.name === "AbortError") return;
    settle();
    handleError(error, load);
  }
}

/** The same positions without operations; kept while only the pipeline changes. */
async function loadOriginals(stream, address, signal) {
  const key = JSON.stringify([stream.id, address]);
  if (originals.key !== key) originals = { key, tensors: await api.batch(stream, address, signal) };
  return originals.tensors;
}

function show(batch) {
  stopPlayback();
  const classes = datasets.get(state.dataset)?.classes ?? [];
  const overlays = state.overlays ?? defaultOverlays(batch.augmented);
  displayed = { ...batch, overlays, classes };
  state.chosen = Math.min(state.chosen, batch.augmented.index.shape[0] - 1);
  clearErrors();
  if (linkNotice) showNotice(linkNotice, "mild");
  saveState();
  if (typeof state.pipeline === "string") pipeline.show(state.pipeline, batch.stream.spec.pipeline);
  pipeline.showPolicies(batch.stream);
  data.showDefaults(batch.stream.spec);
  toolbar.show(state, batch.stream.samples);
  toolbar.setOverlays(availableOverlays(batch.augmented), overlays);
  sheet.show(displayed);
  showLegend($("#legend"), batch.augmented, overlays, classes);
  set($("#sheet"), { "data-shown": [batch.stream.id, batch.epoch, batch.start, batch.view].join("/") });
  const url = new URL(".", location.href).href.replace(/\/$/, "");
  exportPanel.show({ ...batch, url, media: media(), token: api.hasToken() });
}

async function inspect(signal) {
  const [batch, chosen] = [displayed, state.chosen];
  sheet.mark(chosen);
  const view = (chosenView = Math.min(chosenView, batch.views - 1));
  inspector.show(batch, chosen, view);
  const address = { epoch: batch.epoch, view: batch.view * batch.views + view };
  const receipt = await api.receipt(batch.stream, address, batch.start + chosen, signal);
  if (batch === displayed && chosen === state.chosen && view === chosenView) inspector.showReceipt(receipt, batch.stream.spec.pipeline);
}

/** Opens the receipt of a sample that the user selected. */
async function selectSample(chosen) {
  state.chosen = chosen;
  saveState();
  try {
    await inspect();
    announce($("#inspector-title").textContent);
    const reducedMotion = matchMedia("(prefers-reduced-motion: reduce)").matches;
    $("#inspector").scrollIntoView({ block: "nearest", behavior: reducedMotion ? "auto" : "smooth" });
  } catch (error) {
    handleError(error, load);
  }
}

async function selectView(view) {
  chosenView = view;
  try {
    await inspect();
  } catch (error) {
    handleError(error, load);
  }
}

/** Shows an error at the control that it names, or as a notice; transient errors call `retry` after a while. */
function handleError(error, retry) {
  if (error.status === 401) return lock();
  if (error.transient) {
    const isStarting = error.code === "starting"; // what it serves may differ from before
    if (isStarting) {
      $("#token").hidden = $("#notice").hidden = true;
      showStarting(error.progress);
    } else {
      hideStarting();
      showNotice(`${sentence(error.message)} Retrying …`);
    }
    retryTimer = setTimeout(isStarting ? begin : retry, RETRY_MS);
    return undefined;
  }
  clearErrors();
  $("#stage").classList.add("stale");
  const path = error.field ?? "";
  const name = { "size.0": "height", "size.1": "width" }[path] ?? path.split(".").at(-1);
  const message = error.message.replace(path, name) // the control's name is enough beside the control
    .replace("GET /v1/datasets lists them", "choose one from the list");
  if (pipeline.showError(path, message) || data.showError(path, message)) {
    showNotice(`One setting is invalid${displayed ? "; showing the last valid result" : ""}.`, "mild");
    announce(message);
  } else {
    showNotice(sentence(error.message || "Unexpected error on this page."));
  }
  return undefined;
}

/** Fills in what the dataset requires and the user has not set: without it every request would be refused. */
function fillRequired() {
  const missing = (datasets.get(state.dataset)?.required ?? []).filter((name) => state[name] === null);
  for (const name of missing) state[name] = DEFAULTS[name];
  if (missing.length) data.show(state);
}

function pollFailed(error) {
  if (error.status === 401) return lock();
  unreachable = error.transient;
  if (unreachable) showNotice(`${sentence(error.message)} Retrying …`);
  return undefined;
}

function pollSucceeded() {
  if (unreachable) load();
  unreachable = false;
}

const sentence = (text) => `${text.charAt(0).toUpperCase()}${text.slice(1)}${/[.…!?]$/.test(text) ? "" : "."}`;

function showNotice(text, kind = "") {
  const node = $("#notice");
  if (node.textContent !== text) node.textContent = text;
  node.className = `notice ${kind}`;
  node.hidden = false;
}

function clearErrors() {
  $("#notice").hidden = true;
  hideStarting();
  $("#stage").classList.remove("stale");
  pipeline.clearErrors();
  data.clearErrors();
}

function lock() {
  const rejected = api.hasToken();
  api.setToken("");
  live.stop();
  clearErrors();
  $("#workbench").hidden = true;
  $("#token").hidden = false;
  $("#server").textContent = "locked";
  $("#token-error").hidden = !rejected;
  $("#token-error").textContent = rejected ? "Invalid token." : "";
  $("#token-text").focus();
}

function unlock() {
  $("#token").hidden = true;
  $("#token-text").value = "";
  $("#workbench").hidden = false;
  $("#notice").hidden = true;
  hideStarting();
}

$("#token").addEventListener("submit", (event) => {
  event.preventDefault();
  api.setToken($("#token-text").value);
  begin();
});
addEventListener("hashchange", () => {
  link = fromFragment(location.hash);
  ({ state } = link);
  if (datasets.size) restore();
});
const dark = matchMedia("(prefers-color-scheme: dark)");
dark.addEventListener("change", () => displayed && MEDIA[displayed.media].hasText && sheet.show(displayed)); // waveforms have the text colour
const narrow = matchMedia("(max-width: 899px)");
const foldSettings = () => ($("#settings").open = !narrow.matches);
narrow.addEventListener("change", foldSettings);
foldSettings();
begin();
