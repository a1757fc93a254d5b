"""Experiments of the part *Three puzzles*."""
