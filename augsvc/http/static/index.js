"use strict";
const status = document.querySelector("#status");
const form = document.querySelector("#token");

async function ask(path, token) {
  const answer = await fetch(path, token ? { headers: { Authorization: `Bearer ${token}` } } : {});
  const content = await answer.json();
  if (!answer.ok) throw Object.assign(new Error(content.error.message), { status: answer.status });
  return content;
}

function fill(id, rows) {
  const section = document.querySelector(id);
  section.querySelector("tbody").replaceChildren(...rows.map((cells) => {
    const row = document.createElement("tr");
    row.append(...cells.map((text) => Object.assign(document.createElement("td"), { textContent: text })));
    return row;
  }));
  section.hidden = false;
}

async function show(token) {
  try {
    const [version, datasets, ops] = await Promise.all(["v1/version", "v1/datasets", "v1/ops"].map((p) => ask(p, token)));
    form.hidden = true;
    status.textContent = `Version ${version.version}, ${version.executor} on ${version.device}, arithmetic ${version.arithmetic}`;
    fill("#datasets", datasets.datasets.map((d) => [d.name, d.samples, d.classes.join(", ")]));
    fill("#ops", ops.ops.map((o) => [o.name, o.kind, o.summary.replaceAll("`", "")]));
  } catch (error) {
    form.hidden = error.status !== 401;
    status.textContent = error.message;
  }
}

form.addEventListener("submit", (event) => { event.preventDefault(); show(form.querySelector("input").value); });
show("");
