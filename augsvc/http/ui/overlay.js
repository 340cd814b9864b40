// Masks, boxes and keypoints, on a separate canvas above the image, so that the image's pixels stay untouched.

import { el, set } from "./dom.js";
import { row } from "./safetensors.js";

// Okabe and Ito's palette: distinguishable with every kind of colour vision
const COLORS = [[230, 159, 0], [86, 180, 233], [0, 158, 115], [240, 228, 66], [213, 94, 0], [204, 121, 167], [0, 114, 178]];
const OUTSIDE = 255; // mask value of pixels outside the source
const MIN_NAMED_PX = 180; // images at least this wide show the boxes' class names

const rgb = (number) => `rgb(${COLORS[((number % COLORS.length) + COLORS.length) % COLORS.length].join(" ")})`;

/** The overlays that a stream's tensors allow. */
export const availableOverlays = (tensors) => ["mask", "boxes", "keypoints"].filter((name) => name in tensors);

/** The overlay that is shown before the user chooses: what a detection or a segmentation set is about. */
export const defaultOverlays = (tensors) => ["boxes", "mask", "keypoints"].filter((name) => name in tensors).slice(0, 1);

/** Draws the chosen overlays of sample `index` over an image of `width` × `height` pixels, at the screen's resolution. */
export function drawOverlay(canvas, tensors, index, { width, height }, overlays, classes) {
  const box = canvas.getBoundingClientRect();
  const pixelRatio = window.devicePixelRatio || 1;
  canvas.width = Math.max(1, Math.round(box.width * pixelRatio));
  canvas.height = Math.max(1, Math.round(box.height * pixelRatio));
  const context = canvas.getContext("2d");
  context.clearRect(0, 0, canvas.width, canvas.height);
  const thinness = Math.min(Math.max(box.width / 120, 0.6), 1); // thinner lines on small images
  const scale = { x: canvas.width / width, y: canvas.height / height, line: pixelRatio * thinness };
  if (overlays.includes("mask") && tensors.mask) drawMask(context, row(tensors.mask, index), width, height);
  if (overlays.includes("boxes") && tensors.boxes) {
    drawBoxes(context, tensors, index, scale, box.width >= MIN_NAMED_PX ? classes : []);
  }
  if (overlays.includes("keypoints") && tensors.keypoints) drawKeypoints(context, tensors, index, scale);
}

function drawMask(context, mask, width, height) {
  const image = new ImageData(width, height);
  mask.forEach((value, pixel) => {
    if (value === 0) return;
    const diagonal = (pixel % width) + Math.floor(pixel / width);
    const color = value === OUTSIDE ? [128, 128, 128] : COLORS[(value - 1) % COLORS.length];
    image.data.set([...color, value === OUTSIDE ? (diagonal % 4 < 2 ? 190 : 60) : 110], 4 * pixel);
  });
  const small = new OffscreenCanvas(width, height);
  small.getContext("2d").putImageData(image, 0, 0);
  context.imageSmoothingEnabled = false;
  context.drawImage(small, 0, 0, context.canvas.width, context.canvas.height);
}

function drawBoxes(context, tensors, index, { x, y, line }, classes) {
  const boxes = row(tensors.boxes, index);
  const labels = tensors.box_labels ? row(tensors.box_labels, index) : [];
  forEachValid(tensors.boxes_valid, tensors.boxes, index, (i) => {
    const [x1, y1, x2, y2] = boxes.subarray(4 * i, 4 * i + 4);
    const label = labels[i] ?? i;
    const rectangle = [x1 * x, y1 * y, (x2 - x1) * x, (y2 - y1) * y];
    stroke(context, line, rgb(label), () => context.strokeRect(...rectangle));
    if (classes[label]) drawName(context, classes[label], rectangle[0], rectangle[1], line, rgb(label));
  });
}

function drawKeypoints(context, tensors, index, { x, y, line }) {
  const points = row(tensors.keypoints, index);
  forEachValid(tensors.keypoints_valid, tensors.keypoints, index, (i) => {
    const [pointX, pointY] = points.subarray(2 * i, 2 * i + 2);
    stroke(context, line, "#fff", () => {
      context.beginPath();
      context.arc(pointX * x, pointY * y, 4 * line, 0, 2 * Math.PI);
      context.stroke();
    });
  });
}

/** Calls `work(i)` for every valid row; without a `valid` tensor, for all rows. */
function forEachValid(valid, tensor, index, work) {
  const flags = valid ? row(valid, index) : null;
  for (let i = 0; i < tensor.shape[1]; i += 1) if (!flags || flags[i]) work(i);
}

/** A line that is visible on any image: coloured, with a dark outline. */
function stroke(context, line, color, draw) {
  for (const [style, width] of [["rgb(0 0 0 / 70%)", 3.5], [color, 1.75]]) {
    context.strokeStyle = style;
    context.lineWidth = width * line;
    draw();
  }
}

function drawName(context, text, left, top, line, color) {
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

/** Explains the colours of the displayed overlays. */
export function showLegend(node, tensors, overlays, classes) {
  const entries = [];
  if (overlays.includes("mask") && tensors.mask) {
    const values = [...new Set(tensors.mask.data)].filter((value) => value !== 0).sort((a, b) => a - b);
    const inside = values.filter((value) => value !== OUTSIDE);
    entries.push(el("p", {}, "Mask: ", ...inside.map((value) => swatch(`value ${value}`, rgb(value - 1))),
      ...(values.includes(OUTSIDE) ? [swatch("hatched: outside the source", null, "hatched")] : [])));
  }
  if (overlays.includes("boxes") && tensors.boxes) {
    const labels = [...new Set(row(flatten(tensors.box_labels), 0))].sort((a, b) => a - b);
    entries.push(el("p", {}, "Boxes: ", ...labels.map((label) => swatch(classes[label] ?? `label ${label}`, rgb(label), "box"))));
  }
  if (overlays.includes("keypoints") && tensors.keypoints) {
    entries.push(el("p", {}, "Keypoints: ", swatch("inside the canvas", "#fff", "point")));
  }
  node.replaceChildren(...entries);
  node.hidden = entries.length === 0;
}

const flatten = (tensor) =>
  tensor ? { shape: [1, tensor.data.length], data: tensor.data } : { shape: [1, 0], data: new Uint8Array() };

function swatch(text, color, kind = "area") {
  const mark = el("i", { class: `swatch ${kind}`, "aria-hidden": "true" });
  if (color) set(mark, { "--color": color });
  return el("span", { class: "key" }, mark, text);
}
