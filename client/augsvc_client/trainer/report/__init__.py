"""Plots and pages about finished runs."""
