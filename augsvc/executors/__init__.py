"""Executors run passes over pixels and over sound.

base.py          what an executor is
kornia.py        the reference: float32 over Kornia's functional layer; it defines what is right
torch_sound.py   the same for sound, in torch alone
fused.py         the fast one: integer kernels (kernels/), fed by lowering.py
fused_sound.py   the same for sound: a float32 kernel, fed by sound_lowering.py
fused_cuda.py, fused_cuda_sound.py   the same kernels' functions on a GPU: seats.py, slabs.py, launch.py
choice.py        the one that the settings name
"""
