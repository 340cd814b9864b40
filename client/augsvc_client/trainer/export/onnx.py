"""Export a trained network or ensemble: half-precision weights, ONNX that is checked against it, and ONNX in 8 bits.

network → export → model-fp16.safetensors, model.onnx, model-int8.onnx → size, latency and accuracy of each
"""

import copy
import logging
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from safetensors.torch import save
from torch import nn

from augsvc_client.trainer.export.card import EXPORTS
from augsvc_client.trainer.files import describe_write_error, write_file, write_json
from augsvc_client.trainer.models.build import Inputs, load_weights
from augsvc_client.trainer.training.device import median_ms
from augsvc_client.trainer.training.learner import Batch, input_tensor

F32 = npt.NDArray[np.float32]
Runner = Callable[[F32], F32]  # inputs N,… → logits N,K

_TOLERANCE = 1e-3  # between logits of torch and ONNX Runtime, which sum in different orders; 1e-5 was measured


@dataclass(frozen=True, slots=True)
class ExportedFile:
    """One exported file: bytes on disk, milliseconds per single sample (median, one CPU thread), accuracy on the test batches.

    `accuracy` is None without test samples.
    """

    name: str
    n_bytes: int
    ms: float
    accuracy: float | None


def export(
    folder: Path, model: nn.Module, inputs: Inputs, calibration: Sequence[Batch], test: Sequence[Batch]
) -> list[ExportedFile]:
    """Write all formats of a network in test mode, whose weights are in the folder, to the folder, and measure them.

    `calibration`: training batches, for the 8-bit value ranges and for comparing ONNX with the network. `test`: batches
    with labels, possibly without samples. Raises ValueError if ONNX differs from the network, OSError on a full disk (earlier
    exports then stay), ModuleNotFoundError without the packages of the extra `export`.
    """
    with TemporaryDirectory(prefix=".export-", dir=folder) as work, _one_thread():
        half, full, int8 = (Path(work, name) for name in EXPORTS[:3])
        weights = {n: value.half() if value.is_floating_point() else value for n, value in model.state_dict().items()}
        write_file(half, save(weights))
        _write_onnx(lambda: to_onnx(model, inputs, full), folder / full.name)
        onnx = onnx_runner(full)
        _check_agreement(torch_runner(model), onnx, _arrays(calibration[:1]))
        _write_onnx(lambda: to_int8(full, int8, _arrays(calibration)), folder / int8.name)
        half_model = copy.deepcopy(model)
        load_weights(half_model, half)
        saved = sorted((*folder.glob("model.safetensors"), *folder.glob("member-*/model.safetensors")))
        measured: list[tuple[Sequence[Path], Runner]] = [
            (saved, torch_runner(model)),
            ([half], torch_runner(half_model)),
            ([full], onnx),
            ([int8], onnx_runner(int8)),
        ]
        files = [_measure(paths, runner, inputs, test) for paths, runner in measured]
        for path in (half, full, int8):
            path.replace(folder / path.name)
    write_json(folder / EXPORTS[3], [asdict(file) for file in files])
    return files


def _measure(paths: Sequence[Path], runner: Runner, inputs: Inputs, test: Sequence[Batch]) -> ExportedFile:
    name = paths[0].name if len(paths) == 1 else f"{len(paths)} × {paths[0].name}"
    size = sum(path.stat().st_size for path in paths)
    return ExportedFile(name, size, _latency_ms(runner, inputs), _accuracy(runner, test))


def _write_onnx(write: Callable[[], None], path: Path) -> None:
    try:
        write()
    except OSError as err:
        raise describe_write_error(err, path) from err


def to_onnx(model: nn.Module, inputs: Inputs, path: Path) -> None:
    """Write one file: `input` N,C,H,W or N,T float32 → `logits` N,K, for any N."""
    with _silenced_exporters():
        program = torch.onnx.export(
            model,
            (inputs.example(2),),
            input_names=["input"],
            output_names=["logits"],
            dynamic_shapes=({0: torch.export.Dim("n", min=1)},),
            dynamo=True,
            verbose=False,
        )
        program.save(path, external_data=False)  # type: ignore[union-attr]  # not None with dynamo


def to_int8(full: Path, path: Path, calibration: Iterable[F32]) -> None:
    """Quantise weights (one scale per channel) and layer inputs to 8 bits, with ranges from the calibration inputs.

    The front end of audio, up to its logarithm, stays float: its powers span eight decades, and in 8 bits the accuracy on
    `tones` fell from 99 to 52 %.
    """
    import onnx
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    class Reader(CalibrationDataReader):  # type: ignore[misc]  # the base class is untyped
        def __init__(self) -> None:
            self._rest = iter(calibration)

        def get_next(self) -> dict[str, F32] | None:
            batch = next(self._rest, None)
            return None if batch is None else {"input": batch}

    prepared = path.with_suffix(".prepared.onnx")
    try:
        with _silenced_exporters():
            quant_pre_process(str(full), str(prepared), skip_symbolic_shape=True)
            quantize_static(
                str(prepared), str(path), Reader(), quant_format=QuantFormat.QDQ, per_channel=True,
                activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8,
                op_types_to_quantize=["Conv", "Gemm", "MatMul"],
                nodes_to_exclude=_front_end(onnx.load(str(prepared)).graph.node),
            )  # fmt: skip
    finally:
        prepared.unlink(missing_ok=True)


def _front_end(nodes: Iterable[Any]) -> list[str]:
    """The names of the ONNX nodes, in their order, that lead to a logarithm before any layer; an ensemble ends with another."""
    before: dict[str, dict[str, str]] = {}  # by tensor, the nodes that lead to it: name and type
    front: dict[str, str] = {}
    for node in nodes:
        path = {node.name: node.op_type}
        for tensor in node.input:
            path |= before.get(tensor, {})
        before |= dict.fromkeys(node.output, path)
        if node.op_type == "Log" and not {"Conv", "Gemm"} & set(path.values()):
            front |= path
    return list(front)


def onnx_runner(path: Path) -> Runner:
    """Run an ONNX file on one CPU thread."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    return lambda inputs: np.asarray(session.run(["logits"], {"input": inputs})[0], np.float32)


def torch_runner(model: nn.Module) -> Runner:
    """Run the network itself."""

    def run(inputs: F32) -> F32:
        with torch.inference_mode():
            return np.asarray(model(torch.from_numpy(inputs)).numpy(), np.float32)

    return run


def _check_agreement(expected: Runner, actual: Runner, batches: Iterable[F32]) -> None:
    for inputs in batches:
        difference = float(np.abs(expected(inputs) - actual(inputs)).max(initial=0.0))
        if not difference <= _TOLERANCE:
            raise ValueError(
                f"the exported network differs from the trained one by {difference:.3g} in its logits: do not use it"
            )


def _accuracy(runner: Runner, test: Sequence[Batch]) -> float | None:
    hits = [
        runner(inputs).argmax(axis=1) == batch["label"].cpu().numpy()
        for inputs, batch in zip(_arrays(test), test, strict=True)
    ]
    correct = np.concatenate(hits)
    return float(correct.mean()) if len(correct) else None


def _latency_ms(runner: Runner, inputs: Inputs) -> float:
    sample = inputs.example(1).numpy()
    return median_ms(lambda: runner(sample))


def _arrays(batches: Iterable[Batch]) -> Iterator[F32]:
    for batch in batches:
        yield np.ascontiguousarray(input_tensor(batch).float().cpu().numpy())


@contextmanager
def _one_thread() -> Iterator[None]:
    """torch on one CPU thread, as ONNX Runtime here: latencies on different numbers of threads do not compare."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


@contextmanager
def _silenced_exporters() -> Iterator[None]:
    """Suppress the exporters' internal warnings and log messages; errors are raised or logged."""
    disabled = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(disabled)
