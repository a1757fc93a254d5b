"""Experiments of the part *Theory survey*, a folder for each of its questions."""
