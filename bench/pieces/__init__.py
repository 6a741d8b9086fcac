"""Timings of the pieces of the hot path, to be compared between commits."""
