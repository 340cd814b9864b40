"""The fused executor: passes lowered to integers, and compiled kernels that run them."""
