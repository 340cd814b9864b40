// Speaking to the server: the token, errors in one form, batches as tensors.

import { parse } from "./safetensors.js";

const KEPT = "augsvc-token"; // in this tab alone, until it is closed
let token = sessionStorage.getItem(KEPT) ?? "";

/** An error that the server answered; `status` 0 means that it did not answer. */
export class Refused extends Error {
  constructor(status, { code = "", message = "", field = null } = {}) {
    super(message);
    Object.assign(this, { status, code, field });
  }

  get passing() {
    return this.status === 0 || this.status === 429 || (this.status === 503 && this.code !== "dataset_unreadable");
  }
}

export function keep(text) {
  token = text;
  if (text) sessionStorage.setItem(KEPT, text);
  else sessionStorage.removeItem(KEPT);
}

export const hasToken = () => token !== "";

async function ask(path, { json, headers = {}, signal } = {}) {
  const sent = { ...headers };
  if (/[^\x21-\x7e]/.test(token)) throw new Refused(401, { code: "unauthorized", message: "A token has visible ASCII characters only." });
  if (token) sent.Authorization = `Bearer ${token}`;
  if (json !== undefined) sent["Content-Type"] = "application/json";
  const request = { method: json === undefined ? "GET" : "POST", headers: sent, signal };
  if (json !== undefined) request.body = JSON.stringify(json);
  let answer;
  try {
    answer = await fetch(path, request);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Refused(0, { code: "gone", message: "The server does not answer." });
  }
  if (answer.ok) return answer;
  const content = await answer.json().catch(() => ({}));
  throw new Refused(answer.status, content.error ?? { message: `The server answered ${answer.status}.` });
}

/** The whole of an answer; a server that goes away in the middle of it has not answered. */
async function read(answer, how) {
  try {
    return await answer[how]();
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Refused(0, { code: "gone", message: "The server went away in the middle of an answer." });
  }
}

const get = async (path, more) => read(await ask(path, more), "json");

export const version = () => get("v1/version");
export const operations = async () => (await get("v1/ops")).ops;
export const datasets = async () => (await get("v1/datasets")).datasets;
export const metrics = async () => read(await ask("metrics"), "text");
export const open = (spec, signal) => get("v1/streams", { json: spec, signal });

const known = (stream, signal) => ({ headers: { "Augsvc-Spec": stream.header }, signal });

/** The tensors of positions start … start + count − 1. */
export async function batch(stream, { epoch, start, count, view }, signal) {
  const path = `v1/streams/${stream.id}/epochs/${epoch}?start=${start}&count=${count}&view=${view}`;
  return parse(await read(await ask(path, known(stream, signal)), "arrayBuffer")).tensors;
}

export const receipt = (stream, { epoch, view }, position, signal) =>
  get(`v1/streams/${stream.id}/epochs/${epoch}/samples/${position}?view=${view}`, known(stream, signal));
