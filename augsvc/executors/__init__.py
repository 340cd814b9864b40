"""Executors run passes over pixels.

base.py      what an executor is
kornia.py    the reference: float32 over Kornia's functional layer; it defines what is right
fused.py     the fast one: integer kernels (kernels/), fed by lowering.py
choice.py    the one that the settings name
"""
