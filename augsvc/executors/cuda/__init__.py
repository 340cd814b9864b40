"""The fused executor on CUDA.

image, audio   the executors: batches into chunks
image_chunk    one chunk of images or masks: what is sent and launched
lane_pool      lanes, each for one thread at a time, with several chunks in flight
staging        the memory of one chunk in flight
source_cache   sources that stay on the device
device         the interface of a device; cuda_device implements it
"""
