"""File contents to pixels and waveforms: the code that the service and `augsvc-train predict` share.

Needs Pillow for images, soundfile and soxr for audio; the rest of the client imports none of it.
"""
