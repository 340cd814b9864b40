"""The kernels of the `fused` executor: functions of one pixel or one sample, and the loops that call them.

    sheets.py    what a kernel is given: integers a sample, as NumPy arrays; the numbers' formats
    move.py      one output pixel through a camera
    mask.py      one pixel of a mask through all cameras
    tone.py      one pixel through a colour matrix, one value through a curve
    philox.py    one block of random numbers
    noise.py     one element with noise on it
    memory.py    bytes by address, on the CPU
    spans.py     which pixels of a row show what of a source, on the CPU
    gather.py    a row of a canvas from its source, on the CPU
    rows.py      the same row through all later stages …
    row_filter.py    … and through its filter
    pixel.py     one pixel through a whole pass, for a grid
    pixel_filter.py  … and through its filter
    cuda.py      passes on a GPU: grids, for whoever has numba-cuda
    cpu.py       passes on the CPU: ranges of samples, in the caller's thread
    sound.py     one sample of a clip through its steps, in float32; sound_cpu.py, sound_cuda.py its loops and its grids
    compiled.py  how all of it is compiled

Nothing here imports from outside this folder, so that a digest of these files covers all that compiled code depends on.
Values of pixels are uint16 with 8 fraction bits, 0 … 65280; but for sound everything is integers. For the CPU's loops and for
a GPU's grid exist once: coordinates, weights and taps (move.py), a mask's pixel (mask.py), colours and curves (tone.py), noise
(noise.py), random numbers (philox.py), a step of sound (sound.py). What puts them together to a pixel, moved or filtered, exists
twice, by rows (gather.py, rows.py, row_filter.py) and by pixels (pixel.py, pixel_filter.py): tests/executors/test_grid.py holds
the two together, to the bit.
"""
