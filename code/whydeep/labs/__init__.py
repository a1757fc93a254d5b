"""Labs: subject matter that experiments of two parts share, or an experiment and a page."""
