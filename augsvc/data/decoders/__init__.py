"""Decoders: from file contents to pixels and waveforms."""
