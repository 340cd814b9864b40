"""A cold start in its own process: imports, the executor, one batch; then the first and tenth batch of another pipeline.

`python -m benchmarks.cold FOLDER INDEX` caches compiled kernels in the folder, or loads them from there. Prints seconds.
"""

import sys
import time
from pathlib import Path

BEGAN = time.perf_counter(), time.process_time()


def main(folder: Path, index: int) -> None:
    """Prints a line per figure: its name, and seconds."""
    from augsvc import settings

    settings.default_kernel_cache = lambda: folder  # before benchmarks.peers.fused imports it

    from benchmarks.peers import fused
    from benchmarks.recipes import BATCH, BLUR, DROPOUT, GAMMA, PIPELINE, SIZE, images

    batch = images(BATCH, SIZE)
    print("imports", time.perf_counter() - BEGAN[0])
    fused.make(PIPELINE, batch)()
    print("start", time.perf_counter() - BEGAN[0])
    print("start_cpu", time.process_time() - BEGAN[1])
    before = time.perf_counter()
    run = fused.make([{**GAMMA, "gamma": [0.9, 1.0 + index / 100]}, BLUR, DROPOUT], batch)
    for number in range(1, 11):
        run()
        if number in (1, 10):
            print("first" if number == 1 else "tenth", time.perf_counter() - before)
        before = time.perf_counter()


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
