"""What `augsvc` costs beside what people use instead: `make bench`, or `python -m benchmarks --help`.

    recipes.py   the pictures and the pipelines, the same for all
    peers/       one file for each who is measured
    crew.py      each of them in a process of its own: worker.py
    rounds.py    who runs when, and what is made of the times
    sections.py  the rows: pipeline, operations, scaling, first batches
    serving/     the rows of serving: wire, delivered, crowd, memory, replicas, far, training
    gpu.py       the rows that need CUDA; their peers are gpu_*.py and host_*.py
    cold.py      a start, timed from outside
    bar.py       what has to be reached
    report.py    results/*.json → docs/benchmarks.md, with tables.py, gpu_report.py; plot.py → docs/benchmarks.png

Only ratios taken in one run count: all run in turns, round after round, and a ratio is the median of the rounds' ratios.
"""
