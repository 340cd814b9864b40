// Sound: a clip as its waveform and its spectrogram, and a way to hear it. `audio` is float32 N,T; the rate is the stream's.

import { announce, el, icon, set } from "./dom.js";

const WAVE = { width: 480, height: 120 };
const COLUMNS = 240; // of a spectrogram
const WINDOW = 512; // samples of one column's transform
const FLOOR_DB = -80;
const RAMP = [[8, 10, 30], [60, 20, 95], [150, 45, 110], [225, 95, 75], [250, 175, 90], [252, 250, 215]];

/** The waveform: for each column the lowest and the highest sample; a clip beyond ±1 is cut at the edge. */
export function drawWave(canvas, clip) {
  Object.assign(canvas, WAVE);
  const context = canvas.getContext("2d");
  const middle = WAVE.height / 2;
  context.fillStyle = getComputedStyle(canvas).getPropertyValue("color");
  for (let column = 0; column < WAVE.width; column += 1) {
    const from = Math.floor((column * clip.length) / WAVE.width);
    const to = Math.max(from + 1, Math.floor(((column + 1) * clip.length) / WAVE.width));
    let [low, high] = [Infinity, -Infinity];
    for (let at = from; at < to && at < clip.length; at += 1) {
      low = Math.min(low, clip[at]);
      high = Math.max(high, clip[at]);
    }
    if (low > high) continue;
    const [top, bottom] = [Math.min(1, high), Math.max(-1, low)].map((value) => middle - value * (middle - 2));
    context.fillRect(column, top - 0.5, 1, Math.max(1, bottom - top + 1));
  }
}

/** The spectrogram: Hann windows, magnitude in dB below the clip's loudest, low frequencies at the bottom. */
export function drawSpectrogram(canvas, clip) {
  const rows = WINDOW / 2;
  Object.assign(canvas, { width: COLUMNS, height: rows });
  const levels = new Float32Array(COLUMNS * rows);
  for (let column = 0; column < COLUMNS; column += 1) {
    const centre = Math.floor(((column + 0.5) * clip.length) / COLUMNS);
    const powers = spectrum(clip, centre - WINDOW / 2);
    for (let place = 0; place < rows; place += 1) levels[(rows - 1 - place) * COLUMNS + column] = powers[place];
  }
  const loudest = levels.reduce((most, level) => Math.max(most, level), 1e-12);
  const image = new ImageData(COLUMNS, rows);
  levels.forEach((level, at) => {
    const share = Math.max(0, 1 - (10 * Math.log10(Math.max(level, 1e-20) / loudest)) / FLOOR_DB);
    image.data.set([...ramp(share), 255], 4 * at);
  });
  canvas.getContext("2d").putImageData(image, 0, 0);
}

function ramp(share) {
  const place = Math.min(share, 1) * (RAMP.length - 1);
  const at = Math.min(Math.floor(place), RAMP.length - 2);
  return RAMP[at].map((from, channel) => from + (RAMP[at + 1][channel] - from) * (place - at));
}

const HANN = Float32Array.from({ length: WINDOW }, (_, at) => 0.5 - 0.5 * Math.cos((2 * Math.PI * at) / WINDOW));

/** Powers of WINDOW / 2 frequencies of the windowed clip from `start` on; silence beyond its ends. */
export function spectrum(clip, start) {
  const real = HANN.map((weight, at) => weight * (clip[start + at] ?? 0));
  const imaginary = new Float32Array(WINDOW);
  for (let at = 1, swap = 0; at < WINDOW; at += 1) {
    let bit = WINDOW >> 1;
    for (; swap & bit; bit >>= 1) swap ^= bit;
    swap |= bit;
    if (at < swap) [real[at], real[swap]] = [real[swap], real[at]];
  }
  for (let size = 2; size <= WINDOW; size *= 2) {
    for (let turn = 0; turn < size / 2; turn += 1) {
      const [cos, sin] = [Math.cos((2 * Math.PI * turn) / size), -Math.sin((2 * Math.PI * turn) / size)];
      for (let at = turn; at < WINDOW; at += size) {
        const other = at + size / 2;
        const [x, y] = [real[other] * cos - imaginary[other] * sin, real[other] * sin + imaginary[other] * cos];
        [real[other], imaginary[other]] = [real[at] - x, imaginary[at] - y];
        real[at] += x;
        imaginary[at] += y;
      }
    }
  }
  return real.subarray(0, WINDOW / 2).map((value, at) => value * value + imaginary[at] * imaginary[at]);
}

let playing = null; // { source, button }
let context = null;

/** A button that plays the clip that `clip()` gives, at `rate()` samples a second; pressed again, it stops. */
export function playButton(label, clip, rate) {
  const button = el("button", { type: "button", class: "play", "aria-label": `Play ${label}`, "aria-pressed": "false" });
  const show = (on) => {
    button.replaceChildren(icon(on ? "stop" : "play"));
    set(button, { "aria-pressed": String(on) });
  };
  button.addEventListener("click", () => {
    const mine = playing?.button === button;
    stop();
    if (!mine) start(button, clip(), rate(), show);
  });
  show(false);
  return button;
}

export function stop() {
  playing?.source.stop();
  playing?.show(false);
  playing = null;
}

function start(button, clip, rate, show) {
  try {
    context ??= new AudioContext();
    const buffer = context.createBuffer(1, Math.max(1, clip.length), rate);
    buffer.copyToChannel(clip, 0);
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
