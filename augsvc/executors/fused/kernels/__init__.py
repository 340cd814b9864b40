"""The kernels of the `fused` executor: functions of one pixel or one sample, and the loops that call them.

    args.py          kernel arguments: integers per sample, as NumPy arrays; the numbers' formats
    camera.py        a camera's row of integers, as named tuples
    camera_rows.py   … of all samples, filled
    warp.py          the displacement of one canvas pixel
    edges.py         the fraction of a canvas pixel that shows its source, and the interval of a row's pixels that do
    sampling.py      one canvas pixel from its source
    interpolation.py … by the nearest pixel or by cubic weights
    mask.py          one pixel of a mask through all cameras
    tone.py          one pixel through a colour matrix, one value through a curve
    hsv.py           one pixel through HSV
    noise.py         the laws of noise
    philox.py        one block of random numbers
    cpu.py           passes on the CPU: some samples, in the caller's thread
    scratch.py       a CPU thread's temporaries
    memory.py        bytes by address; copied, through a table or in reverse, on the CPU
    gather.py        a row of a canvas from its source, on the CPU
    gather_aligned.py … whose rows stay rows
    gather_values.py … from another canvas, or from a deep source
    gather_warped.py … and of a warped canvas
    gather_cubic.py  … and by cubic weights or the nearest pixel
    rows.py          the same row through all later stages …
    row_filter.py    … and through its filter
    levels.py        images whose pixels stay whole, on the CPU, as bytes
    level_tables.py  … their tables
    layout.py        … between pixels and planes, on the CPU
    median.py        medians of squares, on the CPU
    sorting.py       … of vectors, sorted by a network
    tiles.py         histograms of tiles equalized, on the CPU
    bleach.py        what is dark made lighter, on the CPU
    downsample.py    images shrunk by areas and enlarged again, on the CPU
    statistics.py    sums and histograms of images, on the CPU
    cuda.py          passes on a GPU: grids of threads; needs numba-cuda
    pixel.py         one pixel through a whole pass, for a grid
    pixel_filter.py  … and through its filter
    sound.py         one sample of a clip through its steps, in float32; sound_cpu.py and sound_cuda.py run it
    sound_filter.py  sections over several clips at once, on the CPU, in lanes.py's vectors of eight
    sound_speed.py   … and taps of a sample at another speed
    compiled.py      the compiler's options

Nothing here imports from outside this folder, so that a digest of these files covers all that compiled code depends on.
Pixel values are uint16 with 8 fraction bits, 0 … 65280; all image kernels are integer arithmetic, but for quotients of
tiles.py and bleach.py, which are exact. Coordinates, weights, samples and edges (camera.py, edges.py, sampling.py),
masks, colours and curves, noise, random numbers, and a step of sound exist once, for the CPU's loops and for a GPU's grid. A
pass is put together twice, by rows (gather.py, rows.py, row_filter.py) and by pixels (pixel.py, pixel_filter.py):
tests/executors/test_grid.py compares the two bit by bit. levels.py gives the bits of rows.py: tests/executors/test_levels.py.
"""
