"""The fused executor: passes are lowered to integers, which compiled kernels run."""
