"""The sections about serving as text. Every figure is read from the results."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from benchmarks.recipes import BATCH, SIZE
from benchmarks.serving.comparisons import SAME_BYTES
from benchmarks.tables import (
    Column,
    Row,
    heading,
    left_out,
    measured,
    milliseconds_per_batch,
    rate,
    ratio,
    ratio_columns,
    spread,
    table,
    title,
)

Results = Mapping[str, Any]
_IMAGE_BYTES = SIZE * SIZE * 3
_MIB = 1 << 20
_CPU = ("CPU ms a batch", milliseconds_per_batch(BATCH))
_WIRE = f""": {BATCH * _IMAGE_BYTES / 1e6:.1f} MB from one process to another on this machine, both processes'
CPU time counted. Our engine is idle: in the server's process `Stream.phases` is replaced by one that computes a batch once and
returns the same bytes from then on. Everything else is the server itself, and the client checks every body's digest; the
server's own digest is part of `phases` and not in these figures. tf.data service has one worker that serves a batch from memory.
TCP's receiver reuses one buffer; ours allocates memory for every batch.
"""
_DELIVERED = """: the pipeline above, noise included, computed by a server and delivered to a client beside it.
The row with the idle engine delivers precomputed batches: its CPU time, server and client, over the engine's is the wire's
fraction. tf.data service computes the same operations in TensorFlow.
"""
_CROWD = """: one asyncio load generator; every client is its own job and requests 8 images (1.2 MB) again as
soon as it has them; the engine is idle as above. The first response on a connection, during TCP slow start and with all clients
starting together, is reported separately: its weight depends on how long one measures.
"""
_MEMORY = """: the peak memory of the server's process while 16 jobs request batches of 9.6 MB, more than
its budget admits, from a folder that exceeds the cache ({delivered} batches delivered). In flight: 4 × `max_batch_bytes`.
"""
_REPLICAS = """: two processes that share nothing; eight clients know both, and took {shares} of
their batches from them.
"""
_FAR = """: a batch of 2^31 shuffled samples over HTTP, computed for each request; every request uses a new epoch.
"""
_FLEET = """: batches of {megabytes:.1f} MB from an idle engine, one after the other, by each way to a replica on Ray Serve; all
on this machine. CPU time is that of all of Ray's processes, of the server and of the client.
"""
_TRAINING = """: the included trainer with its default recipe on the digits (`fire`, batches of {batch},
32 × 32, preset `standard`, on {device}), server and trainer sharing this machine's cores; an epoch a round, without tests.
"""


def _peer_columns(results: Results) -> list[Column]:
    return [("", lambda row: title(results, row["who"]))]


def _against(label: str, other: str) -> list[Column]:
    return ratio_columns(f"÷ {label}", lambda row: row["to"].get(other), quartiles=True)


def _left_out(results: Results, rows: Sequence[Row], names: Sequence[str]) -> str:
    """Those without a row here; they may have one in other sections."""
    present = {row["who"] for row in rows}
    return left_out({name: why for name, why in results["missing"].items() if name in names and name not in present})


def _gigabytes(row: Row) -> str:
    median, low, high = (speed * _IMAGE_BYTES / 1e9 for speed in (row["images_per_s"], *row["quartiles"]))
    return spread(median, low, high, ".2f")


def wire(results: Results) -> str:
    """The same bytes over every transport."""
    columns = [
        *_peer_columns(results), ("GB/s", _gigabytes), _CPU,
        *_against("TCP", "tcp"), *_against("tf.data service", "tf_service"),
    ]  # fmt: skip
    rows = measured(results["wire"])[::-1]
    return heading("The wire", "wire", _WIRE) + "\n" + table(columns, rows) + _left_out(results, rows, SAME_BYTES)


def delivered(results: Results) -> str:
    """The same operations, computed and delivered."""
    columns = [
        *_peer_columns(results), ("images/s", rate), _CPU,
        *_against("tf.data service", "tf_service"), *_against("the engine alone", "engine"),
    ]  # fmt: skip
    rows = measured(results["delivered"])
    names = ("loader", "tf_service", "engine", "loader_idle")
    return heading("Delivered", "delivered", _DELIVERED) + "\n" + table(columns, rows) + _left_out(results, rows, names)


def crowd(results: Results) -> str:
    """Waits of many clients."""
    columns: list[Column] = [
        ("clients", lambda row: str(row["clients"])),
        ("responses a round", lambda row: f"{row['answers']:.0f}"),
        ("median", lambda row: f"{1000 * row['median_s']:.1f} ms"),
        ("99th percentile", lambda row: f"{1000 * row['p99_s']:.1f} ms"),
        ("÷ median", lambda row: spread(row["p99_to_median"], row["low"], row["high"], ".2f")),
        ("slowest first response", lambda row: f"{1000 * row['slowest_first_s']:.1f} ms"),
        ("÷ median, first ones included", lambda row: f"{row['all_p99_to_median']:.2f}"),
        ("refused", lambda row: f"{row['refused']:.0f}"),
    ]
    return heading("Many clients", "crowd", _CROWD) + "\n" + table(columns, results["crowd"])


def memory(results: Results) -> str:
    """The bound and the peak, with the parts of the bound that the settings name."""
    section = results["memory"]
    labels = {"base": "base"} | {
        name: f"`{name}`" for name in section if name.endswith("_bytes") and name != "max_batch_bytes"
    }
    labels |= {"room": "in flight", "bound": "bound", "most": "peak memory"}
    columns: list[Column] = [(label, partial(_mebibytes, name)) for name, label in labels.items()]
    return heading("The server's memory", "memory", _MEMORY.format(**section)) + "\n" + table(columns, [section])  # fmt: skip


def _mebibytes(name: str, row: Row) -> str:
    return f"{row[name] / _MIB:.0f} MiB"


def replicas(results: Results) -> str:
    """How requests spread over two replicas, and their throughput."""
    section = results["replicas"]
    shares = " and ".join(f"{100 * share:.0f} %" for share in section["shares"])
    text = heading("Two replicas", "replicas", _REPLICAS.format(shares=shares))
    if "two_to_one" not in section:
        return (
            text
            + f"Comparing their throughput with one replica's needs 6 cores; this machine has {section['cores']}.\n"
        )
    rows = [{"replicas": name, **row} for name, row in zip(("one", "two"), section["rates"], strict=True)]
    return (
        text
        + f"{section['cores_each']} cores and four of the clients each; two deliver "
        + ratio(section["two_to_one"])
        + " times as much.\n\n"
        + table([("replicas", lambda row: row["replicas"]), ("images/s", rate)], rows)
    )


def far(results: Results) -> str:
    """The cost of a batch by its position in the epoch."""
    columns: list[Column] = [
        ("", lambda row: row["place"]),
        ("images/s", rate),
        *ratio_columns("time ÷ position 0's", lambda row: row["time_to_first"], quartiles=True, form=".3f"),
    ]
    return heading("Deep positions in an epoch", "far", _FAR) + "\n" + table(columns, results["far"])


def fleet(results: Results) -> str:
    """The same bytes by each way through Ray Serve."""
    columns = [
        *_peer_columns(results), ("GB/s", _gigabytes), _CPU,
        *_against("its own proxy", "ray_proxy"), *_against("a plain server", "plain"),
    ]  # fmt: skip
    rows = measured(results["fleet"])
    text = heading("Ray Serve", "fleet", _FLEET.format(megabytes=BATCH * _IMAGE_BYTES / 1e6))
    return text + "\n" + table(columns, rows) + _left_out(results, rows, ["ray_proxy"])


def training(results: Results) -> str:
    """How long a trainer waits for its batches."""
    section = results["training"]
    columns: list[Column] = [
        ("step", lambda row: f"{1000 * row['step_s']:.1f} ms"),
        ("of that, waiting", lambda row: f"{1000 * row['wait_s']:.2f} ms"),
        ("fraction", lambda row: spread(row["wait_to_step"], row["low"], row["high"], ".3%")),
    ]
    return heading("The trainer's wait", "training", _TRAINING.format(**section)) + "\n" + table(columns, [section])


SECTIONS = {
    "wire": wire,
    "delivered": delivered,
    "crowd": crowd,
    "memory": memory,
    "replicas": replicas,
    "far": far,
    "fleet": fleet,
    "training": training,
}
