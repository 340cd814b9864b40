"""The serving rows as text. No figure here is written by hand."""

from typing import Any

from benchmarks.recipes import BATCH, SIZE
from benchmarks.serving.contests import SAME_BYTES
from benchmarks.tables import rate, table

_BODY_BYTES = BATCH * SIZE * SIZE * 3
_MIB = 1 << 20


def _title(results: dict[str, Any], who: str) -> str:
    return f"{results['titles'][who]} ({results['versions'][who]})"


def _share(row: dict[str, Any], other: str) -> list[str]:
    """A ratio with its middle half, and by CPU time."""
    ratio = row["to"].get(other)
    return (
        [f"{ratio['wall']:.2f} ({ratio['low']:.2f}–{ratio['high']:.2f})", f"{ratio['cpu']:.2f}"] if ratio else ["", ""]
    )


def _left_out(results: dict[str, Any], section: str, names: tuple[str, ...]) -> str:
    """Who has no row there; he may have one elsewhere."""
    gone = [
        name for name in names if name in results["missing"] and all(row["who"] != name for row in results[section])
    ]
    return "".join(f"\nLeft out: {name}: {results['missing'][name]}.\n" for name in gone)


def _wire(results: dict[str, Any]) -> str:
    lines = []
    for row in sorted(results["wire"], key=lambda row: -row["images_per_s"]):
        low, high = (speed * SIZE * SIZE * 3 / 1e9 for speed in row["quartiles"])
        speed = f"{row['images_per_s'] * SIZE * SIZE * 3 / 1e9:.2f} ({low:.2f}–{high:.2f})"
        cost = f"{1000 * BATCH / row['images_per_cpu_s']:.1f}"
        lines.append([_title(results, row["who"]), speed, cost, *_share(row, "tcp"), *_share(row, "tf_service")])
    head = ["", "GB/s", "CPU ms a batch", "÷ TCP, wall", "CPU", "÷ tf.data service, wall", "CPU"]
    return (
        "## The wire\n\n`python -m benchmarks --only wire`: "
        f"{_BODY_BYTES / 1e6:.1f} MB from one process to another on this machine, both processes' CPU time counted.\n"
        "Our engine is idle: in the server's process `Stream.produce` is replaced by one that computes a batch once and gives\n"
        "out the same bytes from then on. All else is the server's own, and the client checks every body's digest; the server's\n"
        "own digest is part of `produce` and not in these figures. tf.data service has one worker and gives out a batch that\n"
        "lies in memory. TCP's receiver keeps one buffer; ours gives every batch memory of its own.\n\n"
        + table(head, lines) + _left_out(results, "wire", SAME_BYTES)
    )  # fmt: skip


def _delivered(results: dict[str, Any]) -> str:
    rows = {row["who"]: row for row in results["delivered"]}
    lines = [
        [_title(results, row["who"]), rate(row), f"{1000 * BATCH / row['images_per_cpu_s']:.1f}",
         *_share(row, "tf_service"), *_share(row, "engine")]
        for row in sorted(rows.values(), key=lambda row: row["images_per_s"])
    ]  # fmt: skip
    head = ["", "images/s", "CPU ms a batch", "÷ tf.data service, wall", "CPU", "÷ the engine alone, wall", "CPU"]
    return (
        "## Delivered\n\n`python -m benchmarks --only delivered`: the pipeline above, noise included, computed by a server and\n"
        "delivered to a client beside it. The row with the idle engine delivers batches made before: its CPU time, server and\n"
        "client, over the engine's is the wire's share. tf.data service computes the same operations in TensorFlow.\n\n"
        + table(head, lines) + _left_out(results, "delivered", ("loader", "tf_service", "engine", "loader_idle"))
    )  # fmt: skip


def _crowd(results: dict[str, Any]) -> str:
    lines = [
        [str(row["clients"]), f"{row['answers']:.0f}", f"{1000 * row['median_s']:.1f} ms", f"{1000 * row['p99_s']:.1f} ms",
         f"{row['p99_to_median']:.2f} ({row['low']:.2f}–{row['high']:.2f})", f"{1000 * row['slowest_first_s']:.1f} ms",
         f"{row['all_p99_to_median']:.2f}", f"{row['refused']:.0f}"]
        for row in results["crowd"]
    ]  # fmt: skip
    head = [
        "clients",
        "answers a round",
        "median",
        "99th percentile",
        "÷ median",
        "slowest first answer",
        "÷ median with first ones",
        "refused",
    ]
    return (
        "## Many clients\n\n`python -m benchmarks --only crowd`: one asyncio load generator, every client a job of its own\n"
        "that asks for 8 pictures (1.2 MB) again as soon as it has them; the engine idle as above. The first answer\n"
        "on a connection, where TCP still feels its way and all begin at once, is told apart:\n"
        "how much it weighs depends on how long one measures.\n\n" + table(head, lines)
    )


def _memory(results: dict[str, Any]) -> str:
    found = results["memory"]
    parts = ("base", "cache_bytes", "room", "bound", "most")
    head = ["base", "`cache_bytes`", "under way", "bound", "most held"]
    line = [f"{found[part] / _MIB:.0f} MiB" for part in parts]
    return (
        "## The server's memory\n\n`python -m benchmarks --only memory`: the most that the server's process held while 16 jobs\n"
        "wanted batches of 9.6 MB, more than there was room for, out of a folder that does not fit the cache\n"
        f"({found['delivered']} batches delivered). Under way: 4 × `max_batch_bytes`.\n\n" + table(head, [line])
    )


def _replicas(results: dict[str, Any]) -> str:
    found = results["replicas"]
    shares = " and ".join(f"{100 * share:.0f} %" for share in found["shares"])
    text = (
        "## Two replicas\n\n`python -m benchmarks --only replicas`: two processes that share nothing; eight clients know both, "
        f"and took {shares} of their batches from them.\n"
    )
    if "two_to_one" not in found:
        return text + f"Their throughput beside one replica's needs 6 cores; here are {found['cores']}.\n"
    lines = [[name, rate(row)] for name, row in zip(("one", "two"), found["rates"], strict=True)]
    both = found["two_to_one"]
    return (
        text
        + f"{found['cores_each']} cores and four of the clients each; two deliver {both['wall']:.2f} times as much "
        f"({both['low']:.2f}–{both['high']:.2f}).\n\n" + table(["replicas", "images/s"], lines)
    )


def _far(results: dict[str, Any]) -> str:
    lines = [
        [row["place"], rate(row), f"{row['time_to_first']['wall']:.3f} "
         f"({row['time_to_first']['low']:.3f}–{row['time_to_first']['high']:.3f})", f"{row['time_to_first']['cpu']:.3f}"]
        for row in results["far"]
    ]  # fmt: skip
    return (
        "## Far out\n\n`python -m benchmarks --only far`: a batch of 2^31 shuffled samples over HTTP, computed for each request\n"
        "(a new epoch each time).\n\n" + table(["", "images/s", "time ÷ position 0's, wall", "CPU"], lines)
    )


def _training(results: dict[str, Any]) -> str:
    found = results["training"]
    line = [
        f"{1000 * found['step_s']:.1f} ms",
        f"{1000 * found['wait_s']:.2f} ms",
        f"{found['wait_to_step']:.3%} ({found['low']:.3%}–{found['high']:.3%})",
    ]
    return (
        "## The trainer's wait\n\n`python -m benchmarks --only training`: the included trainer by its own recipe on the digits\n"
        f"(`fire`, batches of {found['batch']}, 32 × 32, preset `standard`, on {found['device']}), server and trainer on this\n"
        "machine's cores together; an epoch a round, tests left out.\n\n"
        + table(["step", "of that, waiting", "share"], [line])
    )


_MAKERS = {
    "wire": _wire,
    "delivered": _delivered,
    "crowd": _crowd,
    "memory": _memory,
    "replicas": _replicas,
    "far": _far,
    "training": _training,
}


def texts(results: dict[str, Any]) -> list[str]:
    """A part of the page for each section that was measured."""
    return [make(results) for name, make in _MAKERS.items() if name in results]
