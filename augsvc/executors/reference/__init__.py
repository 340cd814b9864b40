"""The reference executor: float32 over Kornia's functional layer and torch."""
