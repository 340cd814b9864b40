"""File contents to pixels and waveforms: the code that the service and `augsvc-train predict` share.

image, audio  the decoders: JPEG, PNG and WebP; WAV, AIFF, FLAC, Ogg and MP3
containers    the walks over a file that precede decoding, one module per format
resampling    waveforms to another rate

Needs Pillow for images, soundfile and soxr for audio; the rest of the client imports none of it.
"""
