"""The book's data: each loader verifies its files before use and returns PyTorch tensors.

    from whydeep.datasets import fashion_mnist
    data = fashion_mnist().subset(1000, 500, seed=0)
    data.train_x  # float32 (1000, 1, 28, 28) in [0, 1]

`catalogue`, `verify` and `fetch` are what `whydeep data` calls. What each set is, where it comes
from and what it cannot show stands in its datasheet, `data/<set>/README.md`.
"""

from whydeep.datasets.files import DataFile, catalogue, fetch, verify
from whydeep.datasets.images import LabelledImages, digits, fashion_mnist
from whydeep.datasets.pictures import first_layer_filters, photographs

__all__ = [
    "DataFile",
    "LabelledImages",
    "catalogue",
    "digits",
    "fashion_mnist",
    "fetch",
    "first_layer_filters",
    "photographs",
    "verify",
]
