// HTTP client of the page: bearer token, one error type, batches as tensors.
// Foreign text, such as the names of classes and files, is made printable here, where it enters the page.

import { printable } from "./dom.js";
import { parse } from "./safetensors.js";

const STORAGE_KEY = "augsvc-token"; // in session storage: this tab only, until it is closed
let token = sessionStorage.getItem(STORAGE_KEY) ?? "";

/** An error response; `status` is 0 if there was no response. */
export class ApiError extends Error {
  constructor(status, { code = "", message = "", field = null, progress = null } = {}) {
    super(printable(message));
    Object.assign(this, { status, code, field, progress });
  }

  /** Whether the same request may succeed later. */
  get transient() {
    return this.status === 0 || this.status === 429 || this.status === 503;
  }
}

export function setToken(text) {
  token = text;
  if (text) sessionStorage.setItem(STORAGE_KEY, text);
  else sessionStorage.removeItem(STORAGE_KEY);
}

export const hasToken = () => token !== "";

async function send(path, { json, headers: extraHeaders = {}, signal } = {}) {
  const headers = { ...extraHeaders };
  if (/[^\x21-\x7e]/.test(token)) throw new ApiError(401, { code: "unauthorized", message: "A token consists of visible ASCII characters." });
  if (token) headers.Authorization = `Bearer ${token}`;
  if (json !== undefined) headers["Content-Type"] = "application/json";
  const request = { method: json === undefined ? "GET" : "POST", headers, signal };
  if (json !== undefined) request.body = JSON.stringify(json);
  let response;
  try {
    response = await fetch(path, request);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ApiError(0, { code: "gone", message: "The server does not respond." });
  }
  if (response.ok) return response;
  const content = await response.json().catch(() => ({}));
  throw new ApiError(response.status, content.error ?? { message: `The server responded with status ${response.status}.` });
}

/** The complete body; `method` is json, text or arrayBuffer. A connection that is lost mid-body counts as no response. */
async function read(response, method) {
  try {
    return await response[method]();
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ApiError(0, { code: "gone", message: "The connection was lost during a response." });
  }
}

/** A value of JSON with all its texts printable. */
const printableTexts = (value) => {
  if (typeof value === "string") return printable(value);
  if (Array.isArray(value)) return value.map(printableTexts);
  if (value === null || typeof value !== "object") return value;
  return Object.fromEntries(Object.entries(value).map(([name, inner]) => [name, printableTexts(inner)]));
};

const fetchJson = async (path, options) => read(await send(path, options), "json");

export const version = () => fetchJson("v1/version");
export const operations = async () => (await fetchJson("v1/ops")).ops;
export const datasets = async () => printableTexts(await fetchJson("v1/datasets")).datasets;
export const metrics = async () => read(await send("metrics"), "text");
export const open = (spec, signal) => fetchJson("v1/streams", { json: spec, signal });

const streamOptions = (stream, signal) => ({ headers: { "Augsvc-Spec": stream.header }, signal });

/** The tensors of positions start … start + count − 1. */
export async function batch(stream, { epoch, start, count, view }, signal) {
  const path = `v1/streams/${stream.id}/epochs/${epoch}?start=${start}&count=${count}&view=${view}`;
  return parse(await read(await send(path, streamOptions(stream, signal)), "arrayBuffer")).tensors;
}

export async function receipt(stream, { epoch, view }, position, signal) {
  const path = `v1/streams/${stream.id}/epochs/${epoch}/samples/${position}?view=${view}`;
  return printableTexts(await fetchJson(path, streamOptions(stream, signal)));
}
