"""How runs are shown: the house style, figures, and explorers that say the same by hand."""
