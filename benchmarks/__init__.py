"""The benchmarks: `make bench`, or `python -m benchmarks --help`.

    recipes.py       the images and the pipelines, the same for all peers
    peers/           what is compared: this package's ways, other libraries and services
    workers.py       each peer in its own process, which runs worker.py
    rounds.py        timing in turns, and statistics
    bench.py         a run's settings, and comparisons of workers
    sections.py      the sections about pixels: pipeline, operations, scaling, first batches
    serving/         the sections about serving: wire, delivered, crowd, memory, replicas, far, training
    sound.py         the section about clips; its tables in sound_tables.py
    gpu.py           the sections that need CUDA; their peers are named gpu_* and host_*
    cold.py          a cold start, timed from outside
    targets.py       the targets
    report.py        results/*.json → docs/benchmarks.md, with tables.py, pixel_tables.py, serving/tables.py; plot.py → its plot
    replica.py       one replica's event loop (docs/serving.md); window.py: waits over slow links and for sequential reads

Only ratios within one run are compared: all peers run in turns, round after round, and a ratio is the median of the rounds'
ratios. `--against CHECKOUT` adds this package's peers from another checkout, to compare two commits.
"""
