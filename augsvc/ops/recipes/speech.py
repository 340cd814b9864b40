"""Recipes for speech: clips at 16 kHz, as the examples of toolkits train on them."""

from dataclasses import dataclass, field

from augsvc.ops.operation import Settings
from augsvc.ops.recipes.recipe import Recipe

RATE = 16_000
_NAME_NOISES = "takes noises from the stream itself: name a dataset of noises in `dataset` of background_noise"
_SPEEDS: Settings = {"op": "speed", "speed": [0.9, 1.1], "choices": 3}
_IN_THE_MODEL = "masks are part of the model, where they are used"


@dataclass(frozen=True, slots=True)
class SpeechRecipe:
    """A published pipeline for clips."""

    title: str
    source: str
    seconds: float
    pipeline: tuple[Settings, ...]
    differences: tuple[str, ...] = field(default=())

    def fields(self) -> dict[str, object]:
        """The fields of a specification, as JSON has them."""
        return {"seconds": self.seconds, "sample_rate": RATE, "pipeline": list(self.pipeline)}


AnyRecipe = Recipe | SpeechRecipe

SPEECH: dict[str, SpeechRecipe] = {
    "nemo_conformer": SpeechRecipe(
        "Conformer-CTC on LibriSpeech",
        "NVIDIA/NeMo, examples/asr/conf/conformer/conformer_ctc_bpe.yaml",
        16.7,
        ({"op": "spec_mask", "time_masks": 10, "time_width": [0, 0.05], "freq_masks": 2, "freq_width": [0, 27]},),
        ("masks have widths in samples; there in frames",),
    ),
    "nemo_matchboxnet": SpeechRecipe(
        "MatchboxNet on Speech Commands",
        "NVIDIA/NeMo, examples/asr/conf/matchboxnet_3x1x64_v1.yaml",
        1.0,
        (
            {"op": "time_shift", "shift": [-0.005, 0.005]},
            {"op": "white_noise", "relative_to": "full_scale", "level": [-90, -46]},
            {"op": "spec_mask", "bins": 64, "time_masks": 2, "time_width": [0, 0.25], "freq_masks": 2, "freq_width": [0, 15]},
        ),
        ("has no rectangular masks", "draws the noise's level continuously; there in whole dB"),
    ),
    "nemo_titanet": SpeechRecipe(
        "TitaNet-large, recognition of speakers",
        "NVIDIA/NeMo, examples/speaker_tasks/recognition/conf/titanet-large.yaml",
        3.0,
        (
            {"op": "random_segment"},
            {"op": "background_noise", "snr": [0, 15], "p": 0.5},
            {"op": "speed", "speed": [0.95, 1.05], "p": 0.3},
            {"op": "spec_mask", "time_masks": 5, "time_width": [0, 0.03], "freq_masks": 3, "freq_width": [0, 4]},
        ),
        (_NAME_NOISES,),
    ),
    "speechbrain_ecapa": SpeechRecipe(
        "ECAPA-TDNN on VoxCeleb",
        "speechbrain/speechbrain, recipes/VoxCeleb/SpeakerRec/hparams/train_ecapa_tdnn.yaml",
        3.0,
        (
            {"op": "random_segment"},
            {"op": "one_of", "p": 0.8, "of": [
                {"op": "background_noise", "snr": [0, 15]}, {"op": "reverb"},
                {"op": "drop_freq", "count": [1, 3], "width": 0.05},
                {"op": "time_mask", "count": [1, 5], "length": [0.0208, 0.0417]},
            ]},
        ),
        (_NAME_NOISES, "takes impulse responses from the stream itself: name their dataset in `dataset` of reverb",
         "gives one of five copies of a clip; there all of them, the original and one for each operation"),
    ),
    "espnet_librispeech": SpeechRecipe(
        "Conformer on LibriSpeech",
        "espnet/espnet, egs2/librispeech/asr1, run.sh and conf/tuning/train_asr_conformer10_hop_length160.yaml",
        16.0,
        (_SPEEDS, {"op": "time_warp", "shift": [-0.05, 0.05]},
         {"op": "spec_mask", "time_masks": 10, "time_width": [0, 0.05], "freq_masks": 2, "freq_width": [0, 27]}),
        ("warps by parts of frames, linear between two; there by whole frames, cubic",
         "draws a speed for each clip and epoch; there an epoch has each clip at the three speeds"),
    ),
    "wav2vec2_fine_tuning": SpeechRecipe(
        "wav2vec 2.0, fine-tuning", "huggingface/transformers, Wav2Vec2Config: mask_time_prob; Baevski et al. 2020", 15.6, (),
        (_IN_THE_MODEL,),
    ),
    "whisper_fine_tuning": SpeechRecipe(
        "Whisper, fine-tuning", "huggingface/transformers, WhisperConfig: apply_spec_augment; Radford et al. 2022", 30.0, (),
        (_IN_THE_MODEL,),
    ),
}  # fmt: skip
