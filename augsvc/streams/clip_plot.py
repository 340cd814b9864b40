"""Plots an audio clip as an image: its waveform, and below it its spectrogram."""

import numpy as np

from augsvc.arrays import F32, F64, U8

WIDTH, WAVE_HEIGHT, SPECTRUM_HEIGHT = 192, 64, 96
_FLOOR_DB = -90.0  # relative to a sine at full scale: drawn black
_INK, _AXIS, _LOUD = (30, 90, 170), (200, 200, 200), (200, 60, 40)  # the last marks values beyond full scale
_STOPS = np.array([[0, 0, 4], [66, 10, 104], [147, 38, 103], [221, 81, 58], [252, 165, 10], [252, 255, 164]])


def draw_clips(clips: F32) -> U8:
    """Plots clips (N, T) or (N, C, T) as images (N, WAVE_HEIGHT + SPECTRUM_HEIGHT, WIDTH, 3); time runs to the right.

    The waveform spans ±1, from the minimum to the maximum of each column, the channels one below the other; the spectrogram goes
    from 0 at the bottom to half the rate, in dB from -90 to 0, where 0 is a sine at full scale, of the loudest channel.
    """
    return np.stack([_draw_clip(np.atleast_2d(clip)) for clip in clips])


def _draw_clip(channels: F32) -> U8:
    edges = np.linspace(0, WAVE_HEIGHT, len(channels) + 1).astype(np.int64)
    waves = [_waveform(clip, int(height)) for clip, height in zip(channels, np.diff(edges), strict=True)]
    return np.concatenate((*waves, _spectrogram(channels)))


def _waveform(clip: F32, plot_height: int) -> U8:
    plot = np.full((plot_height, WIDTH, 3), 255, dtype=np.uint8)
    plot[plot_height // 2] = _AXIS
    edges = np.linspace(0, len(clip), WIDTH + 1)
    rows = np.arange(plot_height)
    for column in range(WIDTH):
        first = min(int(edges[column]), len(clip) - 1)
        chunk = clip[first : max(int(edges[column + 1]), first + 1)]
        low, high = float(chunk.min()), float(chunk.max())
        top, bottom = (round((1.0 - min(max(v, -1.0), 1.0)) / 2.0 * (plot_height - 1)) for v in (high, low))
        plot[(rows >= top) & (rows <= bottom), column] = _LOUD if max(high, -low) > 1.0 else _INK
    return plot


def _spectrogram(channels: F32) -> U8:
    """Hann windows, two frequencies per row, centred on the columns, zero-padded at the ends."""
    size = 4 * SPECTRUM_HEIGHT
    samples = channels.shape[1]
    centres = ((np.arange(WIDTH) + 0.5) * samples / WIDTH).astype(np.int64)
    times = centres[:, None] + np.arange(-size // 2, size // 2)
    inside = (times >= 0) & (times < samples)
    frames = np.where(inside, channels[:, np.clip(times, 0, samples - 1)].astype(np.float64), 0.0)
    window = np.hanning(size + 1)[:size]
    magnitude: F64 = np.abs(np.fft.rfft(frames * window)).max(axis=0)[:, : 2 * SPECTRUM_HEIGHT] / (window.sum() / 2.0)
    magnitude = magnitude.reshape(WIDTH, SPECTRUM_HEIGHT, 2).max(axis=2)
    loudness = 1.0 - 20.0 * np.log10(np.maximum(magnitude, 1e-9)) / _FLOOR_DB
    return _colorize(np.clip(loudness, 0.0, 1.0).T[::-1])


def _colorize(loudness: F64) -> U8:
    position = loudness * (len(_STOPS) - 1)
    columns = [np.interp(position, np.arange(len(_STOPS)), _STOPS[:, channel]) for channel in range(3)]
    plot: U8 = np.rint(np.stack(columns, axis=-1)).astype(np.uint8)
    return plot
