"""Experiments of the part *Hacking through life*."""
