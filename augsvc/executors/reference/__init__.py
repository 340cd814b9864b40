"""The reference executor `kornia`: float32 over Kornia's functional layer and torch."""
