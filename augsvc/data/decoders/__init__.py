"""File contents to pixels and waveforms."""
