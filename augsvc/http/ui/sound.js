// Audio: a clip's waveforms, spectrogram and playback. A clip is an array of channels; the sample rate is the stream's.

import { announce, el, icon, set } from "./dom.js";
import { row } from "./safetensors.js";

const WAVE = { width: 480, height: 120 };
const COLUMNS = 240; // in a spectrogram
const WINDOW = 512; // samples in one column's transform
const FLOOR_DB = -80;
const COLORMAP = [[8, 10, 30], [60, 20, 95], [150, 45, 110], [225, 95, 75], [250, 175, 90], [252, 250, 215]];

/** The channels of sample `index` of a tensor N,T or N,C,T. */
export function channelsOf(tensor, index) {
  const values = row(tensor, index);
  const samples = tensor.shape.at(-1);
  return Array.from({ length: values.length / samples }, (_, c) => values.subarray(c * samples, (c + 1) * samples));
}

/** Draws the waveforms, one below the other. */
export function drawWave(canvas, channels) {
  Object.assign(canvas, WAVE);
  channels.forEach((clip, c) => drawChannel(canvas, clip, WAVE.height / channels.length, (c + 0.5) / channels.length));
}

/** Each column spans the lowest to the highest sample; values beyond ±1 are cut off. */
function drawChannel(canvas, clip, height, centre) {
  const context = canvas.getContext("2d");
  const middle = WAVE.height * centre;
  context.fillStyle = getComputedStyle(canvas).getPropertyValue("color");
  for (let column = 0; column < WAVE.width; column += 1) {
    const start = Math.floor((column * clip.length) / WAVE.width);
    const stop = Math.max(start + 1, Math.floor(((column + 1) * clip.length) / WAVE.width));
    let [low, high] = [Infinity, -Infinity];
    for (let i = start; i < stop && i < clip.length; i += 1) {
      low = Math.min(low, clip[i]);
      high = Math.max(high, clip[i]);
    }
    if (low > high) continue;
    const [top, bottom] = [Math.min(1, high), Math.max(-1, low)].map((value) => middle - value * (height / 2 - 2));
    context.fillRect(column, top - 0.5, 1, Math.max(1, bottom - top + 1));
  }
}

/** Draws the spectrogram of the loudest channel: Hann windows, dB relative to the maximum, low frequencies at the bottom. */
export function drawSpectrogram(canvas, channels) {
  const rows = WINDOW / 2;
  const samples = channels[0].length;
  Object.assign(canvas, { width: COLUMNS, height: rows });
  const levels = new Float32Array(COLUMNS * rows);
  for (let column = 0; column < COLUMNS; column += 1) {
    const centre = Math.floor(((column + 0.5) * samples) / COLUMNS);
    const powers = channels.map((clip) => powerSpectrum(clip, centre - WINDOW / 2));
    for (let bin = 0; bin < rows; bin += 1) {
      levels[(rows - 1 - bin) * COLUMNS + column] = Math.max(...powers.map((power) => power[bin]));
    }
  }
  const maximum = levels.reduce((highest, level) => Math.max(highest, level), 1e-12);
  const image = new ImageData(COLUMNS, rows);
  levels.forEach((level, pixel) => {
    const fraction = Math.max(0, 1 - (10 * Math.log10(Math.max(level, 1e-20) / maximum)) / FLOOR_DB);
    image.data.set([...colorAt(fraction), 255], 4 * pixel);
  });
  canvas.getContext("2d").putImageData(image, 0, 0);
}

/** The colour at a fraction of the colour map, interpolated linearly. */
function colorAt(fraction) {
  const position = Math.min(fraction, 1) * (COLORMAP.length - 1);
  const i = Math.min(Math.floor(position), COLORMAP.length - 2);
  return COLORMAP[i].map((value, channel) => value + (COLORMAP[i + 1][channel] - value) * (position - i));
}

const HANN = Float32Array.from({ length: WINDOW }, (_, i) => 0.5 - 0.5 * Math.cos((2 * Math.PI * i) / WINDOW));

/** Powers of the lowest WINDOW / 2 frequencies of the window at `start`, by a radix-2 FFT; zeros beyond the clip. */
export function powerSpectrum(clip, start) {
  const real = HANN.map((weight, i) => weight * (clip[start + i] ?? 0));
  const imaginary = new Float32Array(WINDOW);
  for (let i = 1, swap = 0; i < WINDOW; i += 1) { // bit-reversed order
    let bit = WINDOW >> 1;
    for (; swap & bit; bit >>= 1) swap ^= bit;
    swap |= bit;
    if (i < swap) [real[i], real[swap]] = [real[swap], real[i]];
  }
  for (let size = 2; size <= WINDOW; size *= 2) {
    for (let k = 0; k < size / 2; k += 1) {
      const [cos, sin] = [Math.cos((2 * Math.PI * k) / size), -Math.sin((2 * Math.PI * k) / size)];
      for (let i = k; i < WINDOW; i += size) {
        const other = i + size / 2;
        const [x, y] = [real[other] * cos - imaginary[other] * sin, real[other] * sin + imaginary[other] * cos];
        [real[other], imaginary[other]] = [real[i] - x, imaginary[i] - y];
        real[i] += x;
        imaginary[i] += y;
      }
    }
  }
  return real.subarray(0, WINDOW / 2).map((value, i) => value * value + imaginary[i] * imaginary[i]);
}

let playing = null; // { source, button, show }
let context = null;

/** A button that plays `clip()` at `rate()` samples per second; pressed again, it stops. `text` is seen, `label` is heard. */
export function playButton(text, label, clip, rate) {
  const button = el("button", { type: "button", class: "play", "aria-label": `Play ${label}`, "aria-pressed": "false" });
  const show = (isPlaying) => {
    button.replaceChildren(icon(isPlaying ? "stop" : "play"), text);
    set(button, { "aria-pressed": String(isPlaying) });
  };
  button.addEventListener("click", () => {
    const wasPlaying = playing?.button === button;
    stop();
    if (!wasPlaying) start(button, clip(), rate(), show);
  });
  show(false);
  return button;
}

/** Stops the clip that is playing, if any. */
export function stop() {
  playing?.source.stop();
  playing?.show(false);
  playing = null;
}

function start(button, clip, rate, show) {
  try {
    context ??= new AudioContext();
    const buffer = context.createBuffer(clip.length, Math.max(1, clip[0].length), rate);
    clip.forEach((channel, c) => buffer.copyToChannel(channel, c));
    const source = context.createBufferSource();
    source.buffer = buffer;
    source.connect(context.destination);
    source.onended = () => playing?.source === source && stop();
    context.resume();
    source.start();
    playing = { source, button, show };
    show(true);
  } catch {
    announce("This browser cannot play the clip: its sample rate is not supported.");
  }
}
