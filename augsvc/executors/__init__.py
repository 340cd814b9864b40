"""Executors run passes: `kornia`, the reference, defines what is right."""
