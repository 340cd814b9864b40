"""The fused executor on CUDA: lanes, staging buffers, and the launch of the kernels."""
