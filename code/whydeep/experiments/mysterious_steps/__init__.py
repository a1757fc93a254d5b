"""Experiments of the part *Mysterious steps*."""
