"""Executors run the passes of a plan: `reference` defines the result, `fused` is fast, `cuda` runs the fused kernels on a GPU."""
