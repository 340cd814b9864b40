// Who trains on this server, and whether they wait: /metrics, read every two seconds while the page is seen.

import { metrics } from "./api.js";
import { $, bytes, el, short, whole } from "./dom.js";

const EVERY_MS = 2000;
const SPAN = 6; // readings that a rate is taken over
const MOST_ROWS = 12;
const LINE = /^(\w+)(?:\{(.*)\})? (\S+)(?: \d+)?$/;
const LABEL = /(\w+)="((?:[^"\\]|\\.)*)"/g;

export class Live {
  /** `answered()` is called with every reading, `failed(error)` when the server does not answer or wants a token. */
  constructor({ answered, failed }) {
    Object.assign(this, { answered, failed });
    this.readings = [];
    this.timer = 0;
    this.on = false;
    document.addEventListener("visibilitychange", () => (document.hidden ? this.#pause() : this.on && this.#read()));
  }

  start() {
    if (this.on) return;
    this.on = true;
    this.#read();
  }

  stop() {
    this.on = false;
    this.#pause();
  }

  #pause() {
    clearTimeout(this.timer);
    this.readings = []; // a rate over a pause says nothing of now
  }

  async #read() {
    clearTimeout(this.timer);
    try {
      const reading = { at: performance.now(), values: parse(await metrics()) };
      this.readings = [...this.readings, reading].slice(-SPAN);
      this.#show();
      this.answered();
    } catch (error) {
      this.readings = [];
      $("#live-note").textContent = "no answer";
      this.failed(error);
    }
    clearTimeout(this.timer);
    if (this.on && !document.hidden) this.timer = setTimeout(() => this.#read(), EVERY_MS);
  }

  #show() {
    const [first, last] = [this.readings[0], this.readings.at(-1)];
    const seconds = (last.at - first.at) / 1000;
    const jobs = [...last.values.samples].map(([job, samples]) => {
      const before = (name) => Math.min(first.values[name].get(job) ?? 0, last.values[name].get(job) ?? 0);
      const gained = (name) => (last.values[name].get(job) ?? 0) - before(name);
      const waits = gained("waits");
      return { job, samples, rate: seconds ? gained("samples") / seconds : 0, wait: waits ? gained("waited") / waits : null, waits,
        waited: gained("waited") };
    });
    const running = jobs.filter(({ rate }) => rate > 0);
    const [waits, waited] = ["waits", "waited"].map((name) => running.reduce((sum, job) => sum + job[name], 0));
    figures({
      Jobs: whole(running.length),
      "Images/s": whole(running.reduce((sum, { rate }) => sum + rate, 0)),
      "Mean wait": waits ? time(waited / waits) : "–",
      Pending: bytes(last.values.pending),
      Errors: whole(last.values.errors),
    });
    rows(jobs.sort((a, b) => b.rate - a.rate || b.samples - a.samples).slice(0, MOST_ROWS));
    $("#live-note").textContent = jobs.length ? `over the last ${whole(seconds)} s` : "No training job has asked yet.";
  }
}

/** What the page needs of Prometheus' text. */
function parse(text) {
  const found = { samples: new Map(), waits: new Map(), waited: new Map(), pending: 0, errors: 0 };
  const byJob = { augsvc_job_samples_total: "samples", augsvc_job_wait_seconds_count: "waits", augsvc_job_wait_seconds_sum: "waited" };
  for (const line of text.split("\n")) {
    const [, name, labels = "", number] = LINE.exec(line) ?? [];
    if (!name) continue;
    const value = Number(number);
    if (name in byJob) found[byJob[name]].set(job(labels), value);
    else if (name === "augsvc_in_flight_bytes") found.pending = value;
    else if (name === "augsvc_errors_total") found.errors += value;
  }
  return found;
}

function job(labels) {
  for (const [, name, value] of labels.matchAll(LABEL)) {
    if (name === "job") return value.replace(/\\(.)/g, (_, letter) => (letter === "n" ? "\n" : letter));
  }
  return "";
}

const time = (seconds) => (seconds < 1 ? `${short(1000 * seconds, seconds < 0.01 ? 1 : 0)} ms` : `${short(seconds, 1)} s`);

function figures(values) {
  const shown = $("#figures");
  if (!shown.childElementCount) {
    for (const name of Object.keys(values)) {
      shown.append(el("div", {}, el("dt", {}, name), el("dd", { "data-figure": name.toLowerCase() })));
    }
  }
  Object.values(values).forEach((text, at) => (shown.children[at].lastElementChild.textContent = text));
}

function rows(jobs) {
  $("#jobs").hidden = jobs.length === 0;
  $("#jobs tbody").replaceChildren(...jobs.map(({ job, samples, rate, wait }) =>
    el("tr", { class: rate > 0 ? "running" : null, "data-job": job },
      el("th", { scope: "row" }, job), el("td", {}, whole(rate)), el("td", {}, wait === null ? "–" : time(wait)),
      el("td", {}, whole(samples)))));
}
