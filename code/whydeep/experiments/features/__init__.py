"""Experiments of the part *It is all about the features*."""
