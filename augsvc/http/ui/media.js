// One sample on the screen: an image with its overlay, or a clip as waveform and spectrogram.

import { el } from "./dom.js";
import { drawOverlay } from "./overlay.js";
import { drawImage, toImageData } from "./image.js";
import { row } from "./safetensors.js";
import { channelsOf, drawSpectrogram, drawWave, playButton } from "./sound.js";

const NO_LABEL = "no label"; // class -1

/** `role` is "original" or "augmented". */
class ImageView {
  constructor(role) {
    this.role = role;
    this.canvas = el("canvas", { class: "pixels", "data-role": role });
    this.top = el("canvas", { class: "overlay", "aria-hidden": "true" });
    this.node = el("span", { class: "image" }, this.canvas, this.top);
  }

  /** Draws sample `index` of a batch; `batch` is { stream, overlays, classes }. */
  show(tensors, index, batch) {
    this.last = { tensors, index, batch };
    drawImage(this.canvas, toImageData(tensors.image, index, batch.stream.spec.output.layout));
    this.overlay(batch.overlays);
  }

  /** Redraws the overlays, after another choice or a change of the size on the screen. */
  overlay(overlays = this.last?.batch.overlays) {
    if (!this.last) return;
    this.last.batch.overlays = overlays;
    drawOverlay(this.top, this.last.tensors, this.last.index, this.canvas, overlays, this.last.batch.classes);
  }

  /** Nothing to play. */
  player() {
    return null;
  }
}

/** As ImageView. */
class ClipView {
  constructor(role) {
    this.role = role;
    this.canvas = el("canvas", { class: "wave", "data-role": role });
    this.top = el("canvas", { class: "spectrogram", "aria-hidden": "true" });
    this.node = el("span", { class: "clip" }, this.canvas, this.top);
  }

  show(tensors, index, batch) {
    this.clip = channelsOf(tensors.audio, index);
    this.rate = batch.stream.spec.sample_rate;
    drawWave(this.canvas, this.clip);
    drawSpectrogram(this.top, this.clip);
  }

  overlay() {}

  /** A button that plays the clip, as `playButton`. */
  player(text, label) {
    return playButton(text, label, () => this.clip, () => this.rate);
  }
}

/** By medium. */
export const VIEWS = { image: ImageView, audio: ClipView };

/** The class name of sample `index`, "no label" without one; after a mix, the classes and their weights. */
export function labelText({ label }, index, classes) {
  if (!label) return "";
  const name = (number) => classes[number] ?? String(number);
  if (label.shape.length === 1) {
    const number = Number(label.data[index]);
    return label.dtype === "I64" && number < 0 ? NO_LABEL : name(number);
  }
  const weights = Array.from(row(label, index), (weight, number) => ({ weight, number })).filter(({ weight }) => weight > 0);
  return weights.sort((a, b) => b.weight - a.weight)
    .map(({ weight, number }) => `${Math.round(100 * weight)} % ${name(number)}`).join(" + ") || NO_LABEL;
}
