"""The fused executor on CUDA.

image, audio   the executors: split batches into chunks
image_chunk    one chunk of images or masks: its uploads and launches
lane_pool      lanes, each for one thread at a time, with several chunks in flight
staging        the memory of one chunk in flight
source_cache   sources that stay on the device
device         the interface of a device; cuda_device implements it: memory and streams
launch         the launch of a kernel
"""
