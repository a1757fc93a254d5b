"""ImageExplorer: banks of images (filters, feature maps, templates), to compare and look into."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, Literal

import anywidget
import numpy as np
import traitlets
from jaxtyping import Float

from whydeep.errors import BadSettings
from whydeep.widgets.bundler import bundle
from whydeep.widgets.kit import FOLDER, Numbers, Prediction, check_key, quantise, style

MOST_ITEMS = 256  # more are too many to tell apart in a grid, and to walk through by key
MOST_ROWS = 144  # of a matrix: more are too thin to point at


@dataclass(frozen=True)
class Pool:
    """Makes one number of each window of ``size`` x ``size`` values, ``stride`` apart.

    ``kind`` is "maximum" or "average". A maximum of size 1 keeps every ``stride``-th value, which
    is what a convolution with that stride computes.
    """

    kind: str
    size: int
    stride: int


class ImageExplorer(anywidget.AnyWidget):
    """Banks of small images, one bank at a time in a grid, and one item of it enlarged.

    ``banks`` gives an array of floats to each bank's label, of shape (items, height, width), or
    (items, 3, height, width) for red, green and blue. Banks may differ in items and size, not in
    channels. If any value is negative, zero is grey in all banks, and the colours reach as far
    below zero as above it; otherwise zero is black. Each item's colours span that item's own
    largest magnitude, which the text says.

    ``pictures``, by label, of shape (height, width) or (3, height, width) and with values 0 to 1,
    makes the items filters: the reader sees the feature map of the chosen picture under the chosen
    filter, as it is or after a ReLU. Like ``torch.nn.functional.conv2d`` without padding it is

        map[r, c] = sum over channels k and i, j of filter[k, i, j] picture[k, r + i, c + j].

    ``strides`` are the steps, in pixels, of which the reader may choose one; with stride t the sum
    has t r and t c in place of r and c. ``matrix`` shows in addition, for filters and pictures of
    one channel, the matrix W with map = W^T picture: at whichever pixel, unit or column the reader
    points, the patch of the picture and the column (or the row) of W that belong to it light up.

    ``pools``, by label, shows each feature map pooled as well, and lets the reader shift the
    picture, by up to ``reach`` pixels each way with zeros moving in: by dragging it, by Shift and
    the arrows, or by two sliders. Beside the pooled map stands what the shift has changed in it,
    and the text says how many units change, before and after pooling. With a matrix there are none.

    ``item`` is what one image is called ("filter", "template"). ``names`` gives, for some banks,
    a name to each item, and ``numbers`` series of one number an item, by their label with its unit:
    ``{"learned": {"orientation (degrees)": [...]}}``; a number that is not finite is left out.

    ``key`` is short, unique on its page, and names the widget in the page's address.
    ``title`` says what is shown, ``about`` what to try and what to look for.
    Banks are kept in ``bits`` bits a value over each bank's range, pictures always in 8.
    ``bank``, ``item``, ``picture``, ``stride``, ``pool`` (indices), ``right``, ``down`` (pixels),
    ``relu``, ``opened`` (whether the images show) and ``predicted`` (the reader's option, or -1)
    are the state that the reader changes; Python sees it in a notebook.

    BadSettings names what does not fit.
    """

    _esm: ClassVar[str] = bundle(FOLDER / "image" / "index.js")
    _css: ClassVar[str] = style("kit.css")
    spec = traitlets.Dict().tag(sync=True)
    data = traitlets.Bytes().tag(sync=True)
    scenes = traitlets.Bytes().tag(sync=True)
    bank = traitlets.Int(0).tag(sync=True)
    item = traitlets.Int(0).tag(sync=True)
    picture = traitlets.Int(0).tag(sync=True)
    stride = traitlets.Int(0).tag(sync=True)
    relu = traitlets.Bool(False).tag(sync=True)
    pool = traitlets.Int(0).tag(sync=True)
    right = traitlets.Int(0).tag(sync=True)
    down = traitlets.Int(0).tag(sync=True)
    opened = traitlets.Bool(True).tag(sync=True)
    predicted = traitlets.Int(-1).tag(sync=True)

    def __init__(
        self,
        banks: Mapping[str, Float[np.ndarray, "..."]],
        *,
        key: str,
        title: str,
        about: str,
        item: str = "image",
        names: Mapping[str, Sequence[str]] | None = None,
        numbers: Mapping[str, Mapping[str, Numbers]] | None = None,
        pictures: Mapping[str, Float[np.ndarray, "..."]] | None = None,
        strides: Sequence[int] = (1,),
        matrix: bool = False,
        pools: Mapping[str, Pool] | None = None,
        reach: int = 3,
        bits: Literal[8, 16] = 16,
        predict: Prediction | None = None,
    ) -> None:
        check_key(key)
        names, numbers, pictures, pools = names or {}, numbers or {}, pictures or {}, pools or {}
        if not banks:
            raise BadSettings("there are no banks, expected at least one")
        for label in (*names, *numbers):
            if label not in banks:
                raise BadSettings(f"no bank {label!r}: there are {', '.join(banks)}")
        stacks = {label: _with_channels("bank", label, bank, 3) for label, bank in banks.items()}
        scenes = {
            label: _with_channels("picture", label, picture, 2)
            for label, picture in pictures.items()
        }
        for label, stack in stacks.items():
            if not 1 <= len(stack) <= MOST_ITEMS:
                raise BadSettings(
                    f"bank {label!r} has {len(stack)} items, expected 1 to {MOST_ITEMS}"
                )
            series = {"names": names[label]} if label in names else {}
            for name, values in (series | dict(numbers.get(label, {}))).items():
                if len(values) != len(stack):
                    raise BadSettings(
                        f"{name!r} of bank {label!r}: {len(values)} given, expected {len(stack)}, "
                        "one for each item"
                    )
        _check_pictures(scenes, stacks)
        if not strides or min(strides) < 1 or len(set(strides)) < len(strides):
            raise BadSettings(
                f"strides are {tuple(strides)}, expected different whole numbers from 1 upwards"
            )
        if matrix:
            _check_matrix(scenes, stacks)
        if pools:
            _check_pools(pools, scenes, stacks, max(strides), reach, matrix)
        kept = {label: quantise(stack, log=False, bits=bits) for label, stack in stacks.items()}
        shots = {label: quantise(scene, log=False, bits=8) for label, scene in scenes.items()}
        spec = {
            "key": key,
            "title": title,
            "about": about,
            "item": item,
            "signed": any(bool((stack < 0).any()) for stack in stacks.values()),
            "banks": [
                _describe(label, stack.shape[1:], kept[label], bits)
                | {
                    "items": len(stack),
                    "names": list(names.get(label, ())),
                    "numbers": [
                        {"label": name, "values": _for_json(values)}
                        for name, values in numbers.get(label, {}).items()
                    ],
                }
                for label, stack in stacks.items()
            ],
            "pictures": [
                _describe(label, scene.shape, shots[label], 8) for label, scene in scenes.items()
            ],
            "strides": list(strides),
            "matrix": matrix,
            "pools": [{"label": label} | asdict(pool) for label, pool in pools.items()],
            "reach": reach,
            "predict": predict and asdict(predict) | {"options": list(predict.options)},
        }
        super().__init__(
            spec=spec,
            data=b"".join(codes for codes, _, _ in kept.values()),
            scenes=b"".join(codes for codes, _, _ in shots.values()),
            opened=predict is None,
        )


def _with_channels(
    what: str, label: str, values: Float[np.ndarray, "..."], rank: int
) -> Float[np.ndarray, "*items channels height width"]:
    """``values`` in float64 with an axis of channels, added where ``rank`` says there is none."""
    whole = values.astype(float)
    if values.ndim == rank:
        whole = np.expand_dims(whole, rank - 2)
    if whole.ndim != rank + 1 or whole.shape[-3] not in (1, 3) or whole.size == 0:
        start = "items, " if rank == 3 else ""
        raise BadSettings(
            f"{what} {label!r} has shape {values.shape}, expected ({start}height, width) or "
            f"({start}3, height, width)"
        )
    if not np.isfinite(whole).all():
        raise BadSettings(
            f"{what} {label!r} has a value that is not finite: expected finite numbers only"
        )
    return whole


def _check_pictures(scenes: Mapping[str, np.ndarray], stacks: Mapping[str, np.ndarray]) -> None:
    """BadSettings unless every filter fits into every picture."""
    channels = {label: stack.shape[1] for label, stack in stacks.items()}
    if len(set(channels.values())) > 1:
        raise BadSettings(f"the banks have {channels} channels, expected the same for all")
    for name, scene in scenes.items():
        if scene.min() < 0 or scene.max() > 1:
            raise BadSettings(
                f"picture {name!r} has values from {scene.min():g} to {scene.max():g}, "
                "expected 0 to 1"
            )
        for label, stack in stacks.items():
            if scene.shape[0] != stack.shape[1]:
                raise BadSettings(
                    f"picture {name!r} has {scene.shape[0]} channels and bank {label!r} "
                    f"{stack.shape[1]}: expected the same number"
                )
            if scene.shape[1] < stack.shape[2] or scene.shape[2] < stack.shape[3]:
                raise BadSettings(
                    f"picture {name!r} is {scene.shape[1:]} pixels large, smaller than the filters "
                    f"of bank {label!r} with {stack.shape[2:]}: expected at least their size"
                )


def _check_matrix(scenes: Mapping[str, np.ndarray], stacks: Mapping[str, np.ndarray]) -> None:
    """BadSettings unless W, a row for each pixel, can be drawn for every filter and picture."""
    if not scenes:
        raise BadSettings("a matrix is shown, but there are no pictures: expected at least one")
    for label, stack in stacks.items():
        if stack.shape[1] != 1:
            raise BadSettings(
                f"bank {label!r} has {stack.shape[1]} channels, expected 1 where the matrix shows"
            )
    for name, scene in scenes.items():
        if scene.size > MOST_ROWS:
            raise BadSettings(
                f"picture {name!r} has {scene.size} pixels, expected at most {MOST_ROWS} where the "
                "matrix shows, which has a row for each"
            )


def _check_pools(
    pools: Mapping[str, Pool],
    scenes: Mapping[str, np.ndarray],
    stacks: Mapping[str, np.ndarray],
    stride: int,
    reach: int,
    matrix: bool,
) -> None:
    """BadSettings unless every feature map, at the largest ``stride``, has a window to pool."""
    if not scenes or matrix:
        raise BadSettings(
            "feature maps are pooled, but there are no pictures, or a matrix is shown: expected "
            "pictures and no matrix"
        )
    least = min(
        (side - patch) // stride + 1
        for scene in scenes.values()
        for stack in stacks.values()
        for side, patch in zip(scene.shape[1:], stack.shape[2:], strict=True)
    )
    for label, pool in pools.items():
        if pool.kind not in ("maximum", "average") or pool.stride < 1:
            raise BadSettings(
                f"pool {label!r} takes the {pool.kind} at stride {pool.stride}, expected 'maximum' "
                "or 'average' at stride 1 or more"
            )
        if not 1 <= pool.size <= least:
            raise BadSettings(
                f"pool {label!r} has windows of {pool.size} x {pool.size}, expected 1 to {least}, "
                "the side of the smallest feature map"
            )
    smallest = min(min(scene.shape[1:]) for scene in scenes.values())
    if not 1 <= reach < smallest:
        raise BadSettings(
            f"reach is {reach} pixels, expected 1 to {smallest - 1}, less than a picture's side"
        )


def _describe(
    label: str, shape: tuple[int, ...], coded: tuple[bytes, float, float], bits: int
) -> dict[str, Any]:
    codes, low, high = coded
    channels, height, width = shape
    return {"label": label, "channels": channels, "height": height, "width": width} | {
        "bytes": len(codes),
        "low": low,
        "high": high,
        "bits": bits,
    }


def _for_json(values: Numbers) -> list[float | None]:
    """``values`` for JSON, which knows no NaN."""
    return [v if np.isfinite(v) else None for v in np.asarray(values, dtype=float).tolist()]
