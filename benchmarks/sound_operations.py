"""Every operation on clips alone, beside the peers that have it: every parameter is pinned where one does."""

from augsvc.ops.kinds.sound_partners import SoundPartner
from augsvc.ops.registry import registry
from benchmarks import peers
from benchmarks.bench import Bench, Rows
from benchmarks.recipes import Pipeline, Step
from benchmarks.rounds import Entry, all_pairs, interleave
from benchmarks.sound import BATCH, OURS, RATE, clips

PEERS = ("torch_audiomentations", "audiomentations", "torchaudio")
SAMPLES = RATE  # a second
_PINNED: dict[str, Step] = {  # of the operations that a peer has too
    "air_absorption": {},
    "aliasing": {"rate": [8000, 8000]},
    "band_pass": {"center": [1000, 1000], "bandwidth": [1, 1], "order": [2, 2]},
    "band_stop": {"center": [1000, 1000], "bandwidth": [1, 1], "order": [2, 2]},
    "bit_crush": {"bits": [8, 8]},
    "clipping": {"percentile": [20, 20]},
    "codec": {"codec": "mp3", "quality": [0.3, 0.3]},
    "colored_noise": {"snr": [20, 20], "slope": [-3, -3]},
    "dc_shift": {},
    "gain": {"gain": [-6, -6]},
    "gain_transition": {"start_gain": [-12, -12], "end_gain": [0, 0], "duration": [0.5, 0.5]},
    "high_pass": {"cutoff": [300, 300], "order": [4, 4]},
    "limiter": {"threshold": [-12, -12], "attack": [0.005, 0.005], "release": [0.1, 0.1]},
    "loudness_normalization": {"loudness": [-23, -23]},
    "low_pass": {"cutoff": [2000, 2000], "order": [4, 4]},
    "normalize_peak": {"level": [0, 0]},
    "peaking": {"frequency": [1000, 1000], "gain": [6, 6], "q": [1, 1]},
    "pitch_shift": {"semitones": [2, 2]},
    "speed": {"speed": [1.1, 1.1]},
    "tanh_distortion": {"amount": [0.3, 0.3]},
    "time_mask": {"count": [1, 1], "length": [0.1, 0.1]},
    "time_shift": {"shift": [0.25, 0.25], "border": "wrap"},
    "time_stretch": {"rate": [1.1, 1.1]},
    "white_noise": {"snr": [20, 20]},
}


def steps() -> Pipeline:
    """Every operation on sound as a step on every clip; those that take partners, or change no sample, are left out."""
    return [
        {"op": name, **_PINNED.get(name, operation.examples[0]), "p": 1.0}
        for name, operation in registry().items()
        if operation.media == "audio" and not issubclass(operation, SoundPartner) and name != "spec_mask"
    ]


def sound_operations(bench: Bench) -> dict[str, Rows]:
    """For each operation a row for ours and each peer that has it."""
    short = bench.scaled(rounds=1 / 3, seconds=1 / 4)
    results: dict[str, Rows] = {}
    batch = clips(BATCH, SAMPLES)
    with bench.workers((OURS, *PEERS)) as workers:
        for step in steps():
            op, entries = step["op"], []
            bench.log(f"{op}: preparing")
            for worker in workers:
                try:
                    entries.append(Entry(worker.name, BATCH, worker.render([step], batch), worker.run))
                except peers.Missing as err:
                    if worker.name == OURS or not str(err).startswith("has no "):
                        bench.missing[f"{op}, {worker.name}"] = str(err)
            failures = interleave(entries, short.rounds, short.seconds, lambda _: None)
            bench.missing.update({f"{op}, {name}": why for name, why in failures.items()})
            results[op] = all_pairs(entries)
    return results
