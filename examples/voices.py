"""Spoken digits by many voices as an audio folder, from espeak-ng (Debian package espeak-ng, GPL-3.0-or-later).

    espeak-ng, voice × word → mono WAV, 16 kHz, 1 s at most → OUT/{train,val,test}/{zero … nine}/

    python examples/voices.py --out voices-data
    echo 'datasets: {voices: {format: audio_folder, path: voices-data}}' > settings.yaml
    augsvc serve --config settings.yaml

Voices are disjoint between the splits: a voice is one of espeak-ng's variants, and its accent, speed and pitch follow from a hash
of its name. Robots and whispers are left out. The clips are not part of this repository.
"""

import io
import subprocess
from collections.abc import Sequence
from hashlib import blake2b
from pathlib import Path
from typing import Annotated

import numpy as np
import soundfile
import soxr
import typer

WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
RATE = 16_000
ACCENTS = ("en-gb", "en-us", "en-gb-scotland", "en-gb-x-gbclan", "en-gb-x-rp", "en-gb-x-gbcwmd", "en-029", "en-us-nyc")
_LEFT_OUT = ("robo", "robot", "whisper", "croak", "demonic", "klatt", "fast")
_SPLITS = ("train",) * 5 + ("val",) * 2 + ("test",) * 3  # by a hash of the voice
_QUIET = 10 ** (-40 / 20)  # of the peak: silence at both ends is cut


def main(
    out: Annotated[Path, typer.Option(help="Folder for the clips.", file_okay=False)] = Path("voices-data"),
) -> None:
    """Speak every word with every voice."""
    counts = dict.fromkeys(_SPLITS, 0)
    for voice in list_voices():
        digest = blake2b(voice.encode(), digest_size=8).digest()
        split = _SPLITS[digest[0] % len(_SPLITS)]
        accent, speed, pitch = ACCENTS[digest[1] % len(ACCENTS)], 130 + digest[2] % 70, 35 + digest[3] % 31
        for word in WORDS:
            folder = out / split / word
            folder.mkdir(parents=True, exist_ok=True)
            clip = trim(speak(word, f"{accent}+{voice}", speed, pitch))
            soundfile.write(folder / f"{voice.replace(' ', '-')}.wav", clip[:RATE], RATE, subtype="PCM_16")
        counts[split] += 1
    print(f"{out}: {', '.join(f'{count} voices in {split}' for split, count in counts.items())}")


def list_voices() -> Sequence[str]:
    """The names of the variants of espeak-ng that sound like people."""
    listing = subprocess.run(["espeak-ng", "--voices=variant"], check=True, capture_output=True, text=True).stdout
    names = [line.partition("!v/")[2].split("  ")[0].strip() for line in listing.splitlines() if "!v/" in line]
    return sorted({name for name in names if name and not any(part in name.lower() for part in _LEFT_OUT)})


def speak(word: str, voice: str, speed: int, pitch: int) -> "np.ndarray[tuple[int], np.dtype[np.float32]]":
    """A word as float32 at RATE; `speed` in words per minute, `pitch` from 0 to 99."""
    command = ["espeak-ng", "-v", voice, "-s", str(speed), "-p", str(pitch), "--stdout", word]
    data = subprocess.run(command, check=True, capture_output=True).stdout
    audio, rate = soundfile.read(io.BytesIO(data), dtype="float32")
    return np.asarray(soxr.resample(audio, rate, RATE), np.float32)


def trim(audio: "np.ndarray[tuple[int], np.dtype[np.float32]]") -> "np.ndarray[tuple[int], np.dtype[np.float32]]":
    """Without the silence at both ends, with a peak of 0.5."""
    peak = float(np.abs(audio).max())
    loud = np.flatnonzero(np.abs(audio) > _QUIET * peak)
    return audio[loud[0] : loud[-1] + 1] * np.float32(0.5 / peak)


if __name__ == "__main__":
    typer.run(main)
