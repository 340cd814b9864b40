// Masks, boxes and keypoints, on a canvas of their own above the picture, so that the picture's pixels stay its own.

import { el, set } from "./dom.js";
import { row } from "./safetensors.js";

// Okabe and Ito's colours: told apart with any kind of colour vision
const COLORS = [[230, 159, 0], [86, 180, 233], [0, 158, 115], [240, 228, 66], [213, 94, 0], [204, 121, 167], [0, 114, 178]];
const OUTSIDE = 255; // of a mask: nothing of the source is here
const NAMING_PX = 180; // a picture at least this wide has its boxes' names written on it

const rgb = (at) => `rgb(${COLORS[((at % COLORS.length) + COLORS.length) % COLORS.length].join(" ")})`;

/** Which overlays a stream's tensors allow. */
export const available = (tensors) => ["mask", "boxes", "keypoints"].filter((name) => name in tensors);

/** Draws the chosen overlays of sample `at` over a picture of `width` × `height` pixels; the canvas fits the screen's. */
export function drawOverlay(canvas, tensors, at, { width, height }, shown, classes) {
  const box = canvas.getBoundingClientRect();
  const dense = window.devicePixelRatio || 1;
  canvas.width = Math.max(1, Math.round(box.width * dense));
  canvas.height = Math.max(1, Math.round(box.height * dense));
  const context = canvas.getContext("2d");
  context.clearRect(0, 0, canvas.width, canvas.height);
  const fine = Math.min(Math.max(box.width / 120, 0.6), 1); // thin lines on small pictures
  const scale = { x: canvas.width / width, y: canvas.height / height, line: dense * fine };
  if (shown.includes("mask") && tensors.mask) drawMask(context, row(tensors.mask, at), width, height);
  if (shown.includes("boxes") && tensors.boxes) {
    drawBoxes(context, tensors, at, scale, box.width >= NAMING_PX ? classes : []);
  }
  if (shown.includes("keypoints") && tensors.keypoints) drawPoints(context, tensors, at, scale);
}

function drawMask(context, mask, width, height) {
  const image = new ImageData(width, height);
  mask.forEach((value, place) => {
    if (value === 0) return;
    const hatch = (place % width) + Math.floor(place / width);
    const color = value === OUTSIDE ? [128, 128, 128] : COLORS[(value - 1) % COLORS.length];
    image.data.set([...color, value === OUTSIDE ? (hatch % 4 < 2 ? 190 : 60) : 110], 4 * place);
  });
  const small = new OffscreenCanvas(width, height);
  small.getContext("2d").putImageData(image, 0, 0);
  context.imageSmoothingEnabled = false;
  context.drawImage(small, 0, 0, context.canvas.width, context.canvas.height);
}

function drawBoxes(context, tensors, at, { x, y, line }, classes) {
  const boxes = row(tensors.boxes, at);
  const labels = tensors.box_labels ? row(tensors.box_labels, at) : [];
  each(tensors.boxes_valid, tensors.boxes, at, (place) => {
    const [x1, y1, x2, y2] = boxes.subarray(4 * place, 4 * place + 4);
    const label = labels[place] ?? place;
    const sides = [x1 * x, y1 * y, (x2 - x1) * x, (y2 - y1) * y];
    stroke(context, line, rgb(label), () => context.strokeRect(...sides));
    if (classes[label]) name(context, classes[label], sides[0], sides[1], line, rgb(label));
  });
}

function drawPoints(context, tensors, at, { x, y, line }) {
  const points = row(tensors.keypoints, at);
  each(tensors.keypoints_valid, tensors.keypoints, at, (place) => {
    const [across, down] = points.subarray(2 * place, 2 * place + 2);
    stroke(context, line, "#fff", () => {
      context.beginPath();
      context.arc(across * x, down * y, 4 * line, 0, 2 * Math.PI);
      context.stroke();
    });
  });
}

/** Calls `work` with the rows that are valid; all of them where the stream does not say. */
function each(valid, tensor, at, work) {
  const flags = valid ? row(valid, at) : null;
  for (let place = 0; place < tensor.shape[1]; place += 1) if (!flags || flags[place]) work(place);
}

/** A line that is seen on any picture: dark beneath, its colour above. */
function stroke(context, line, color, draw) {
  for (const [style, width] of [["rgb(0 0 0 / 70%)", 3.5], [color, 1.75]]) {
    context.strokeStyle = style;
    context.lineWidth = width * line;
    draw();
  }
}

function name(context, text, left, top, line, color) {
  context.font = `600 ${11 * line}px system-ui, sans-serif`;
  const width = context.measureText(text).width + 8 * line;
  const height = 16 * line;
  const [x, y] = [Math.max(0, Math.min(left, context.canvas.width - width)), Math.max(0, top - height)];
  context.fillStyle = color;
  context.fillRect(x, y, width, height);
  context.fillStyle = "#000";
  context.textBaseline = "middle";
  context.fillText(text, x + 4 * line, y + height / 2 + line / 2);
}

/** What the overlays that are shown mean, in words. */
export function legend(node, tensors, shown, classes) {
  const parts = [];
  if (shown.includes("mask") && tensors.mask) {
    const values = [...new Set(tensors.mask.data)].filter((value) => value !== 0).sort((a, b) => a - b);
    const inside = values.filter((value) => value !== OUTSIDE);
    parts.push(el("p", {}, "Mask: ", ...inside.map((value) => swatch(`value ${value}`, rgb(value - 1))),
      ...(values.includes(OUTSIDE) ? [swatch("hatched: nothing of the source", null, "hatched")] : [])));
  }
  if (shown.includes("boxes") && tensors.boxes) {
    const labels = [...new Set(row(flat(tensors.box_labels), 0))].sort((a, b) => a - b);
    parts.push(el("p", {}, "Boxes: ", ...labels.map((label) => swatch(classes[label] ?? `label ${label}`, rgb(label), "box"))));
  }
  if (shown.includes("keypoints") && tensors.keypoints) {
    parts.push(el("p", {}, "Keypoints: ", swatch("those on the canvas", "#fff", "point")));
  }
  node.replaceChildren(...parts);
  node.hidden = parts.length === 0;
}

const flat = (tensor) =>
  tensor ? { shape: [1, tensor.data.length], data: tensor.data } : { shape: [1, 0], data: new Uint8Array() };

function swatch(text, color, kind = "area") {
  const mark = el("i", { class: `swatch ${kind}`, "aria-hidden": "true" });
  if (color) set(mark, { "--color": color });
  return el("span", { class: "key" }, mark, text);
}
