"""Datasets: index → sample. One format a file, over the format's own library."""
