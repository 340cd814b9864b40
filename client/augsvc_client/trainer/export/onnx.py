"""A trained network for others: weights with a card, ONNX that is checked against them, and ONNX in 8 bits.

network, Card → save_model → model.safetensors, model.json → load_model
              → export → model-fp16.safetensors, model.onnx, model-int8.onnx → what each weighs, takes and gets right
"""

import json
import logging
import statistics
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from augsvc_client.trainer.models.build import Inputs, build_model, save_weights
from augsvc_client.trainer.recipe import ModelChoice

F32 = npt.NDArray[np.float32]
Run = Callable[[F32], F32]  # inputs N,… → logits N,K

_VERSION = 1
_TOLERANCE = 1e-3  # between logits of torch and ONNX Runtime, whose sums go in other orders: 1e-5 was seen
_TIMED = 30


@dataclass(frozen=True, slots=True)
class Card:
    """All that one needs to use the weights: the network, its inputs and where they lie, and what its answers mean."""

    model: ModelChoice
    inputs: Inputs
    classes: Sequence[str]
    scale: tuple[float, float]
    fit: str

    def save(self, path: Path) -> None:
        """As JSON."""
        card = {**asdict(self), "model": self.model.model_dump(mode="json"), "version": _VERSION}
        path.write_text(json.dumps(card, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, path: Path) -> "Card":
        """From JSON; raises ValueError where it is none."""
        try:
            said = json.loads(path.read_text(encoding="utf-8"))
            version, inputs = said.pop("version"), said.pop("inputs")
            size = tuple(inputs["size"]) if inputs["size"] else None
            card = cls(
                model=ModelChoice(**said["model"]),
                inputs=Inputs(inputs["channels"], size, inputs["rate"], inputs["length"]),
                classes=tuple(said["classes"]),
                scale=(float(said["scale"][0]), float(said["scale"][1])),
                fit=said["fit"],
            )
        except FileNotFoundError as err:
            member = path.parent / "member-0"
            other = f"a member of the ensemble, {member}" if member.is_dir() else "the folder that --out named"
            raise ValueError(f"{path.parent} has no {path.name}: give {other}") from err
        except (ValueError, KeyError, TypeError, AttributeError) as err:
            raise ValueError(f"{path.name} is no card of a network") from err
        if version != _VERSION:
            raise ValueError(f"{path.name} is of version {version}, this program reads version {_VERSION}")
        return card


@dataclass(frozen=True, slots=True)
class Form:
    """One exported form: bytes on disk, milliseconds a single sample (median, CPU), share of test samples named rightly.

    `accuracy`: None where there are no test samples.
    """

    name: str
    n_bytes: int
    ms: float
    accuracy: float | None


def save_model(model: nn.Module, card: Card, folder: Path) -> None:
    """Weights as safetensors and the card beside them: whoever reads them runs no code of theirs."""
    save_weights(model, folder / "model.safetensors")
    card.save(folder / "model.json")


def load_model(folder: Path) -> tuple[nn.Module, Card]:
    """The network in test mode, on the CPU; raises ValueError where the folder holds none."""
    card = Card.load(folder / "model.json")
    model = build_model(card.model.model_copy(update={"max_size": None}), card.inputs, len(card.classes), seed=0)
    try:
        model.load_state_dict(load_file(folder / "model.safetensors"))
    except (OSError, RuntimeError, SafetensorError) as err:
        raise ValueError(f"{folder} holds no weights of the network that model.json describes") from err
    return model.eval(), card


def export(
    folder: Path,
    calibration: Sequence[Mapping[str, torch.Tensor]],
    test: Sequence[Mapping[str, torch.Tensor]],
) -> list[Form]:
    """Write all forms of the folder's network beside it, and measure them.

    `calibration`: batches, as in training, that ranges of 8-bit values are taken from, and that ONNX is compared on. `test`:
    batches with labels, which may have no samples. Raises ValueError where a form does not give what the network gives,
    NotInstalled without ONNX.
    """
    model, card = load_model(folder)
    half = folder / "model-fp16.safetensors"
    save_file(
        {name: value.half() if value.is_floating_point() else value for name, value in model.state_dict().items()}, half
    )
    full, eight = folder / "model.onnx", folder / "model-int8.onnx"
    to_onnx(model, card.inputs, full)
    run = onnx_run(full)
    _agree(torch_run(model), run, _arrays(calibration[:1]))
    to_int8(full, eight, _arrays(calibration))
    rounded = build_model(card.model.model_copy(update={"max_size": None}), card.inputs, len(card.classes), seed=0)
    rounded.load_state_dict(
        {name: value.float() if value.dtype == torch.half else value for name, value in load_file(half).items()}
    )
    runs = {
        folder / "model.safetensors": torch_run(model),
        half: torch_run(rounded.eval()),
        full: run,
        eight: onnx_run(eight),
    }
    forms = [
        Form(path.name, path.stat().st_size, _ms(one, card.inputs), _accuracy(one, test)) for path, one in runs.items()
    ]
    (folder / "export.json").write_text(json.dumps([asdict(form) for form in forms], indent=1) + "\n", encoding="utf-8")
    return forms


def to_onnx(model: nn.Module, inputs: Inputs, path: Path) -> None:
    """One file: `input` N,C,H,W or N,T float32 → `logits` N,K, any N."""
    with _quiet():
        program = torch.onnx.export(
            model,
            (inputs.example(2),),
            input_names=["input"],
            output_names=["logits"],
            dynamic_shapes=({0: torch.export.Dim("n", min=1)},),
            dynamo=True,
            verbose=False,
        )
        program.save(path, external_data=False)  # type: ignore[union-attr]  # with dynamo there is one


def to_int8(full: Path, path: Path, calibration: Iterable[F32]) -> None:
    """Layers' weights (a scale for each channel) and inputs in 8 bits, ranges from the calibration inputs.

    What stands before a logarithm, a sound's spectrum, stays float: its powers span eight decades, and in 8 bits the
    accuracy on `tones` fell from 99 to 52 %.
    """
    import onnx
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    class Reader(CalibrationDataReader):  # type: ignore[misc]  # its base has no types
        def __init__(self) -> None:
            self._rest = iter(calibration)

        def get_next(self) -> dict[str, F32] | None:
            found = next(self._rest, None)
            return None if found is None else {"input": found}

    prepared = path.with_suffix(".prepared.onnx")
    try:
        with _quiet():
            quant_pre_process(str(full), str(prepared), skip_symbolic_shape=True)
            nodes = list(onnx.load(str(prepared)).graph.node)
            logarithms = [place for place, node in enumerate(nodes) if node.op_type == "Log"]
            quantize_static(
                str(prepared), str(path), Reader(), quant_format=QuantFormat.QDQ, per_channel=True,
                activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8,
                op_types_to_quantize=["Conv", "Gemm", "MatMul"],
                nodes_to_exclude=[node.name for node in nodes[: max(logarithms, default=0)]],
            )  # fmt: skip
    finally:
        prepared.unlink(missing_ok=True)


def onnx_run(path: Path) -> Run:
    """An ONNX file on one thread of the CPU."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    return lambda inputs: np.asarray(session.run(["logits"], {"input": inputs})[0], np.float32)


def torch_run(model: nn.Module) -> Run:
    """The network as it is."""

    def run(inputs: F32) -> F32:
        with torch.inference_mode():
            return np.asarray(model(torch.from_numpy(inputs)).numpy(), np.float32)

    return run


def _agree(one: Run, other: Run, inputs: Iterable[F32]) -> None:
    for each in inputs:
        apart = float(np.abs(one(each) - other(each)).max(initial=0.0))
        if not apart <= _TOLERANCE:
            raise ValueError(
                f"the exported network differs from the trained one by {apart:.3g} in its logits: keep the weights"
            )


def _accuracy(run: Run, test: Sequence[Mapping[str, torch.Tensor]]) -> float | None:
    hits = [
        run(inputs).argmax(axis=1) == batch["label"].cpu().numpy()
        for inputs, batch in zip(_arrays(test), test, strict=True)
    ]
    right = np.concatenate(hits)
    return float(right.mean()) if len(right) else None


def _ms(run: Run, inputs: Inputs) -> float:
    one = inputs.example(1).numpy()
    run(one)
    times = []
    for _ in range(_TIMED):
        began = perf_counter()
        run(one)
        times.append(perf_counter() - began)
    return 1000 * statistics.median(times)


def _arrays(batches: Iterable[Mapping[str, torch.Tensor]]) -> Iterator[F32]:
    for batch in batches:
        tensor = batch["audio"] if "audio" in batch else batch["image"]
        yield np.ascontiguousarray(tensor.float().cpu().numpy())


@contextmanager
def _quiet() -> Iterator[None]:
    """The exporters tell their developers much, on all channels."""
    loggers: list[Any] = [logging.getLogger(name) for name in ("torch.onnx", "onnxscript", "onnx_ir", "root")]
    levels = [logger.level for logger in loggers]
    try:
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
