"""tf.data service: a dispatcher and one worker in a separate process, batches delivered to a client in this one.

The graph is what TensorFlow's users write: images in memory, `map` with parallel calls tuned by TensorFlow, its own threads,
`prefetch`. Whole batches and single images are both mapped, and the faster counts. TensorFlow has had no rotation since
TF-Addons ended: `ImageProjectiveTransformV3` is the operator behind Keras' `RandomRotation`.
"""

import math
import multiprocessing
import os
from collections.abc import Callable
from functools import partial
from multiprocessing.connection import Connection
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import tensorflow as tf

from benchmarks.peers import Peer, Run, seconds, steps

_BUFFERED = 40  # batches that worker and client buffer at first, about; TensorFlow lets its buffers grow
_MAX_DRAINED = 3000  # batches taken before the clock starts: the buffers may grow to half of the memory
BLUR_TAPS = 5
_children: list[Any] = []
_paces: list[float] = []  # seconds a batch of the running service


def _rotation(step: dict[str, Any]) -> Any:
    angle = math.radians(step["degrees"][0])
    cos, sin = math.cos(angle), math.sin(angle)

    def rotate(x: tf.Tensor) -> tf.Tensor:
        height, width = (float(side - 1) for side in x.shape[1:3])
        left = (width - (cos * width - sin * height)) / 2
        top = (height - (sin * width + cos * height)) / 2
        matrix = tf.constant([[cos, -sin, left, sin, cos, top, 0.0, 0.0]])
        return tf.raw_ops.ImageProjectiveTransformV3(
            images=x, transforms=matrix, output_shape=x.shape[1:3], fill_value=0.0, interpolation="BILINEAR",
            fill_mode="CONSTANT",
        )  # fmt: skip

    return rotate


def _jitter(step: dict[str, Any]) -> Any:
    def jitter(x: tf.Tensor) -> tf.Tensor:
        x = tf.clip_by_value(x * step["brightness"][0], 0.0, 1.0)
        x = tf.image.adjust_contrast(x, step["contrast"][0])
        x = tf.image.adjust_saturation(x, step["saturation"][0])
        return tf.image.adjust_hue(x, step["hue"][0])

    return jitter


def _blur(step: dict[str, Any]) -> Any:
    offsets = np.arange(BLUR_TAPS) - BLUR_TAPS // 2
    weights = np.exp(-0.5 * (offsets / step["sigma"][0]) ** 2)
    taps = tf.constant(np.repeat((weights / weights.sum())[:, None, None, None], 3, 2), tf.float32)  # 5, 1, 3, 1
    edge = BLUR_TAPS // 2

    def blur(x: tf.Tensor) -> tf.Tensor:
        x = tf.pad(x, [[0, 0], [edge, edge], [edge, edge], [0, 0]], "REFLECT")
        x = tf.nn.depthwise_conv2d(x, taps, [1, 1, 1, 1], "VALID")
        return tf.nn.depthwise_conv2d(x, tf.transpose(taps, (1, 0, 2, 3)), [1, 1, 1, 1], "VALID")

    return blur


_STEPS = {
    "rotation": _rotation,
    "horizontal_flip": lambda s: tf.image.flip_left_right,
    "color_jitter": _jitter,
    "gaussian_blur": _blur,
    "gaussian_noise": lambda s: lambda x: x + tf.random.normal(tf.shape(x), stddev=s["std"][0]),
}


def make(pipeline: list[dict[str, Any]], images: np.ndarray, compression: str | None) -> Run:
    """Batches as TensorFlow's users get them, as tensors. NumPy reads their memory, where `numpy()` would copy 9.6 MB."""
    close()
    chain = steps(_STEPS, pipeline)
    ours, theirs = multiprocessing.get_context("spawn").Pipe()
    child = multiprocessing.get_context("spawn").Process(target=_serve, args=(theirs,), daemon=True)
    child.start()
    _children.append((child, ours))
    address = ours.recv()

    def augment(x: tf.Tensor) -> tf.Tensor:
        x = tf.image.convert_image_dtype(x, tf.float32)
        for step in chain:
            x = step(x)
        return tf.image.convert_image_dtype(x, tf.uint8, saturate=True)

    def service(dataset: tf.data.Dataset) -> Callable[[], Any]:
        dataset = dataset.prefetch(tf.data.AUTOTUNE).apply(
            tf.data.experimental.service.distribute("parallel_epochs", f"grpc://{address}", compression=compression)
        )
        batches = iter(dataset)
        return lambda: next(batches)

    whole = tf.data.Dataset.from_tensors(images).repeat()
    if not chain:
        run = service(whole)
        _paces[:] = [_pace(run)]
        return lambda: np.asarray(memoryview(run()))
    single = tf.data.Dataset.from_tensor_slices(images).repeat()
    one = lambda x: augment(x[None])[0]  # noqa: E731 - its operators take batches
    options = {
        "whole": service(whole.map(augment, num_parallel_calls=tf.data.AUTOTUNE, deterministic=False)),
        "single": service(single.map(one, num_parallel_calls=tf.data.AUTOTUNE, deterministic=False).batch(len(images))),
    }
    paces = {name: _pace(run) for name, run in options.items()}
    best = min(paces, key=lambda name: paces[name])
    _paces[:] = [paces[best]]
    run = options.pop(best)
    options.clear()
    return lambda: np.asarray(memoryview(run()))


def _pace(run: Run) -> float:
    """Seconds a batch once the buffers are empty."""
    for _ in range(_BUFFERED):
        run()
    return sum(seconds(run) for _ in range(_BUFFERED // 4)) / (_BUFFERED // 4)


def drain(run: Run) -> None:
    """Empties the buffers: until four batches in a row took half as long as computing four takes."""
    last = [0.0] * 4
    for _ in range(_MAX_DRAINED):
        if _paces and sum(last) > 2 * _paces[0]:
            return
        last = [*last[1:], seconds(run)]


def close() -> None:
    """Ends the service."""
    while _children:
        child, pipe = _children.pop()
        pipe.send(None)
        child.join(10)
        child.kill()


def _serve(pipe: Connection) -> None:
    service = tf.data.experimental.service
    dispatcher = service.DispatchServer(service.DispatcherConfig(port=0))
    address = dispatcher.target.split("://")[1]
    worker = service.WorkerServer(service.WorkerConfig(dispatcher_address=address))
    pipe.send(address)
    pipe.recv()
    del worker, dispatcher


def _version() -> str:
    return str(tf.__version__)


PEERS = {
    "tf_service": Peer(
        "tf.data service, one worker, no compression", _version, partial(make, compression=None), drain, close=close
    ),
    "tf_service_default": Peer(
        "tf.data service, one worker, its default compression",
        _version,
        partial(make, compression="AUTO"),
        drain,
        close=close,
    ),
}
