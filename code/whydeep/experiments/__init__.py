"""One module an experiment, in folders named like the book's chapters."""
