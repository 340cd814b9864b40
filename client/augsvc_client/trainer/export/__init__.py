"""Trained networks as files, and predictions with them."""
