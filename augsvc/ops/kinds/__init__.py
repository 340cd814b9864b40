"""The kinds of operations for images and for audio: what an operation lowers to."""
