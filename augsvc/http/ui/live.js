// Active training jobs and their wait times: polls /metrics every two seconds while the page is visible.

import { metrics } from "./api.js";
import { $, el, formatBytes, formatInteger, formatNumber } from "./dom.js";

const INTERVAL_MS = 2000;
const WINDOW = 6; // readings that a rate covers
const MAX_ROWS = 12;
const ACTIVE_MS = 30_000; // after a batch, as the server counts
const LINE = /^(\w+)(?:\{(.*)\})? (\S+)(?: \d+)?$/;
const LABEL = /(\w+)="((?:[^"\\]|\\.)*)"/g;

export class Live {
  /** Calls `succeeded()` after every reading and `failed(error)` if the server does not respond or requires a token. */
  constructor({ succeeded, failed }) {
    Object.assign(this, { succeeded, failed });
    this.readings = [];
    this.lastBatch = new Map(); // job: when its samples were last seen to grow
    this.timer = 0;
    this.running = false;
    document.addEventListener("visibilitychange", () => (document.hidden ? this.#pause() : this.running && this.#read()));
  }

  start() {
    if (this.running) return;
    this.running = true;
    this.#read();
  }

  stop() {
    this.running = false;
    this.#pause();
  }

  #pause() {
    clearTimeout(this.timer);
    this.readings = []; // a rate across a pause would be meaningless
  }

  async #read() {
    clearTimeout(this.timer);
    try {
      const reading = { time: performance.now(), values: parse(await metrics()) };
      this.readings = [...this.readings, reading].slice(-WINDOW);
      this.#show();
      this.succeeded();
    } catch (error) {
      this.readings = [];
      $("#live-note").textContent = "no response";
      this.failed(error);
    }
    clearTimeout(this.timer);
    if (this.running && !document.hidden) this.timer = setTimeout(() => this.#read(), INTERVAL_MS);
  }

  #show() {
    const [first, last] = [this.readings[0], this.readings.at(-1)];
    const seconds = (last.time - first.time) / 1000;
    const previous = this.readings.at(-2)?.values.samples;
    for (const [job, samples] of last.values.samples) {
      if (previous && samples > (previous.get(job) ?? 0)) this.lastBatch.set(job, last.time);
    }
    const isActive = (job) => last.time - (this.lastBatch.get(job) ?? -Infinity) < ACTIVE_MS;
    const jobs = [...last.values.samples].map(([job, samples]) => {
      const before = (name) => Math.min(first.values[name].get(job) ?? 0, last.values[name].get(job) ?? 0);
      const increase = (name) => (last.values[name].get(job) ?? 0) - before(name);
      const waits = increase("waits");
      return { job, samples, active: isActive(job), rate: seconds ? increase("samples") / seconds : null,
        wait: waits ? increase("waited") / waits : null, waits, waited: increase("waited") };
    });
    const running = jobs.filter(({ rate }) => rate > 0);
    const [waits, waited] = ["waits", "waited"].map((name) => running.reduce((sum, job) => sum + job[name], 0));
    showFigures({
      Jobs: formatInteger(last.values.activeJobs),
      "Samples/s": seconds ? formatInteger(running.reduce((sum, { rate }) => sum + rate, 0)) : "–",
      "Mean wait": waits ? formatSeconds(waited / waits) : "–",
      "In flight": formatBytes(last.values.inFlight),
      Errors: formatInteger(last.values.errors),
    });
    showJobs(jobs.sort((a, b) => b.rate - a.rate || b.active - a.active || b.samples - a.samples).slice(0, MAX_ROWS));
    $("#live-note").textContent = noteText(jobs, seconds);
  }
}

const noteText = (jobs, seconds) =>
  jobs.length === 0 ? "No active training jobs." : seconds ? `over the last ${formatInteger(seconds)} s${idleText(jobs)}` : "measuring …";
const idleText = (jobs) => (jobs.every(({ active }) => active) ? "" : "; dimmed: no recent batch");

/** The metrics that the page shows, from Prometheus' text format. */
function parse(text) {
  const values = { samples: new Map(), waits: new Map(), waited: new Map(), activeJobs: 0, inFlight: 0, errors: 0 };
  const byJob = { augsvc_job_samples_total: "samples", augsvc_job_wait_seconds_count: "waits", augsvc_job_wait_seconds_sum: "waited" };
  for (const line of text.split("\n")) {
    const [, name, labels = "", number] = LINE.exec(line) ?? [];
    if (!name) continue;
    const value = Number(number);
    if (name in byJob) values[byJob[name]].set(jobOf(labels), value);
    else if (name === "augsvc_active_jobs") values.activeJobs = value;
    else if (name === "augsvc_in_flight_bytes") values.inFlight = value;
    else if (name === "augsvc_errors_total") values.errors += value;
  }
  return values;
}

function jobOf(labels) {
  for (const [, name, value] of labels.matchAll(LABEL)) {
    if (name === "training_job") return value.replace(/\\(.)/g, (_, letter) => (letter === "n" ? "\n" : letter));
  }
  return "";
}

const formatSeconds = (seconds) => (seconds < 1 ? `${formatNumber(1000 * seconds, seconds < 0.01 ? 1 : 0)} ms` : `${formatNumber(seconds, 1)} s`);

function showFigures(values) {
  const list = $("#figures");
  if (!list.childElementCount) {
    for (const name of Object.keys(values)) {
      list.append(el("div", {}, el("dt", {}, name), el("dd", { "data-figure": name.toLowerCase().replace(" ", "-") })));
    }
  }
  Object.values(values).forEach((text, i) => (list.children[i].lastElementChild.textContent = text));
}

function showJobs(jobs) {
  $("#jobs").hidden = jobs.length === 0;
  $("#jobs tbody").replaceChildren(...jobs.map(({ job, samples, active, rate, wait }) =>
    el("tr", { class: rate > 0 ? "running" : rate === null || active ? null : "idle", "data-job": job },
      el("th", { scope: "row" }, job), el("td", {}, rate === null ? "–" : formatInteger(rate)), el("td", {}, wait === null ? "–" : formatSeconds(wait)),
      el("td", {}, formatInteger(samples)))));
}
