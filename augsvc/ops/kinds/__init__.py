"""The kinds of operations: what each lowers to, for images and for sound."""
