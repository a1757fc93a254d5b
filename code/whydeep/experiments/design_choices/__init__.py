"""Experiments of the part *AlexNet's design choices*."""
