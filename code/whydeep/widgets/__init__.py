"""Interactive figures: one Python class and one folder of ES modules a kind, on a shared kit.

Each is an ordinary anywidget in Jupyter and Colab, its modules bundled to one. On a page of the
book that module runs without a kernel: whydeep.book.widgets and its static host give it what the
build has stored.
"""

from whydeep.widgets.image import ImageExplorer, Pool
from whydeep.widgets.kit import Prediction
from whydeep.widgets.playground import Playground
from whydeep.widgets.referee import Referee
from whydeep.widgets.sweep import Axis, SweepExplorer

__all__ = ["Axis", "ImageExplorer", "Playground", "Pool", "Prediction", "Referee", "SweepExplorer"]
