"""A start, in a process of its own: imports, the executor, one batch; then the first and tenth of another pipeline.

`python -m benchmarks.cold FOLDER NUMBER` keeps compiled kernels in the folder, or finds them there. Prints seconds.
"""

import sys
import time
from pathlib import Path

BEGUN = time.perf_counter(), time.process_time()


def main(folder: Path, number: int) -> None:
    """Prints a line a figure: its name, and seconds."""
    from benchmarks.peers import fused_peer
    from benchmarks.recipes import BATCH, BLUR, DROPOUT, GAMMA, PIPELINE, SIZE, pictures

    fused_peer.default_folder = lambda: folder
    images = pictures(BATCH, SIZE)
    print("imports", time.perf_counter() - BEGUN[0])
    fused_peer.make(PIPELINE, images)()
    print("start", time.perf_counter() - BEGUN[0])
    print("start_cpu", time.process_time() - BEGUN[1])
    before = time.perf_counter()
    run = fused_peer.make([{**GAMMA, "gamma": [0.9, 1.0 + number / 100]}, BLUR, DROPOUT], images)
    for batch in range(10):
        run()
        if batch in (0, 9):
            print("first" if batch == 0 else "tenth", time.perf_counter() - before)
        before = time.perf_counter()


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
