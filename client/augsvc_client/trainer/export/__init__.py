"""Export of trained networks, and predictions on files."""
