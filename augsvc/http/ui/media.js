// One sample as it is seen: a picture with its overlay, or a clip as waveform and spectrogram.

import { el } from "./dom.js";
import { drawOverlay } from "./overlay.js";
import { draw, pixels } from "./picture.js";
import { row } from "./safetensors.js";
import { drawSpectrogram, drawWave, playButton } from "./sound.js";

export class Media {
  /** `role` says what it is: original or augmented. */
  constructor(role, audio) {
    this.role = role;
    this.audio = audio;
    this.canvas = el("canvas", { class: audio ? "wave" : "pixels", "data-role": role });
    this.above = el("canvas", { class: audio ? "spectrogram" : "overlay", "aria-hidden": "true" });
    this.node = el("span", { class: audio ? "clip" : "picture" }, this.canvas, this.above);
  }

  /** Draws sample `at` of a batch; `seen` is { stream, shown, classes }. */
  show(tensors, at, seen) {
    this.last = { tensors, at, seen };
    if (this.audio) {
      this.clip = row(tensors.audio, at);
      this.rate = seen.stream.spec.sample_rate;
      drawWave(this.canvas, this.clip);
      drawSpectrogram(this.above, this.clip);
    } else {
      draw(this.canvas, pixels(tensors.image, at, seen.stream.spec.output.layout));
      this.overlay(seen.shown);
    }
  }

  /** Draws the overlay again: other ones are chosen, or the size on the screen has changed. */
  overlay(shown = this.last?.seen.shown) {
    if (this.audio || !this.last) return;
    this.last.seen.shown = shown;
    drawOverlay(this.above, this.last.tensors, this.last.at, this.canvas, shown, this.last.seen.classes);
  }

  /** A button that plays the clip. */
  player(label) {
    return playButton(label, () => this.clip, () => this.rate);
  }
}

/** The class of sample `at`, in words; after a mix, the classes and their shares. */
export function labelled({ label }, at, classes) {
  if (!label) return "";
  const name = (place) => classes[place] ?? String(place);
  if (label.shape.length === 1) return name(Number(label.data[at]));
  const shares = Array.from(row(label, at), (share, place) => ({ share, place })).filter(({ share }) => share > 0);
  return shares.sort((a, b) => b.share - a.share).map(({ share, place }) => `${Math.round(100 * share)} % ${name(place)}`).join(" + ");
}
