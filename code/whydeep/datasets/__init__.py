"""The book's data: each loader verifies its files before use and returns PyTorch tensors.

    from whydeep.datasets import fashion_mnist
    data = fashion_mnist().subset(1000, 500, seed=0)
    data.train_x  # float32 (1000, 1, 28, 28) in [0, 1]

`entries`, `verify` and `fetch` are what `whydeep data` calls; `used` says which data were read
since `forget_used`. What each set is, where it comes from and what it cannot show stands in its
datasheet, `data/<set>/README.md`.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from whydeep.datasets.files import (
    DataFile,
    catalogue,
    entries,
    fetch,
    forget_used,
    used,
    verify,
)

if TYPE_CHECKING:
    from whydeep.datasets.images import LabelledImages, digits, fashion_mnist
    from whydeep.datasets.pictures import first_layer_filters, photographs
    from whydeep.datasets.pools import digits_pool, draw, draw_digits, fashion_pool

__all__ = [
    "DataFile",
    "LabelledImages",
    "catalogue",
    "digits",
    "digits_pool",
    "draw",
    "draw_digits",
    "entries",
    "fashion_mnist",
    "fashion_pool",
    "fetch",
    "first_layer_filters",
    "forget_used",
    "photographs",
    "used",
    "verify",
]

# The loaders need PyTorch, which takes seconds to import; `whydeep data` does not.
_LOADERS = {
    "LabelledImages": "images",
    "digits": "images",
    "digits_pool": "pools",
    "draw": "pools",
    "draw_digits": "pools",
    "fashion_mnist": "images",
    "fashion_pool": "pools",
    "first_layer_filters": "pictures",
    "photographs": "pictures",
}


def __getattr__(name: str) -> object:
    if name not in _LOADERS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_LOADERS[name]}"), name)
