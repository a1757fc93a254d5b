"""Playground: a small network trained in the reader's browser, or in their kernel's PyTorch."""

from __future__ import annotations

import functools
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

import anywidget
import numpy as np
import torch
import traitlets

from whydeep import datasets
from whydeep.errors import BadSettings
from whydeep.widgets import playground_torch
from whydeep.widgets.bundler import bundle
from whydeep.widgets.kit import FOLDER, Prediction, check_key, style

MOST_LAYERS, MOST_UNITS = 6, 8  # hidden layers, and units in one of them, that fit on a phone
TEST_EXAMPLES = 250
DIGITS = (3, 8)  # two that a plane keeps apart, all but one in thirty
DIGITS_KEPT = 3  # decimals: enough for a picture, and the same on every machine
BUDGET = 0.05  # seconds that a kernel trains before it answers
Point = Sequence[float | int]  # x1, x2 and the label, -1 or 1


@dataclass(frozen=True)
class Field:
    """One setting: its ``label``, the ``options`` offered (value, words) and what else may be.

    A number may be anything from ``low`` to ``high``, otherwise one of the options. A change of a
    ``live`` setting takes part in a run that goes on; of another one begins a new run.
    """

    label: str
    default: Any
    options: tuple[tuple[Any, str], ...]
    live: bool = False
    low: float | int | None = None
    high: float | int | None = None
    whole: bool = False


def _numbers(*values: float | int, zero: str = "0") -> tuple[tuple[float | int, str], ...]:
    """Options for numbers, 0 being called ``zero``."""
    return tuple((value, f"{value:g}" if value else zero) for value in values)


FIELDS = {
    "data": Field(
        "data",
        "rings",
        (
            ("rings", "two rings"),
            ("moons", "two moons"),
            ("spirals", "two spirals"),
            ("xor", "four squares (XOR)"),
            ("blobs", "two clouds"),
            ("digits", "digits 3 and 8 (PCA)"),
            ("pasted", "pasted"),
        ),
    ),
    "examples": Field(
        "training examples", 250, _numbers(30, 60, 120, 250), low=10, high=250, whole=True
    ),
    "spread": Field("spread", 0.15, _numbers(0, 0.1, 0.15, 0.3, 0.5), low=0, high=1),
    "label_noise": Field(
        "labels replaced", 0, ((0, "none"), (0.1, "10%"), (0.25, "25%"), (0.5, "50%"), (1, "all")),
        low=0, high=1,
    ),
    "inputs": Field(
        "inputs", "plain", (("plain", "x₁, x₂"), ("products", "x₁, x₂, x₁², x₂², x₁x₂"))
    ),
    "activation": Field(
        "non-linearity", "tanh",
        (("relu", "ReLU"), ("tanh", "tanh"), ("sigmoid", "sigmoid"), ("linear", "none (linear)")),
    ),
    "loss": Field("loss", "log", (("log", "log-loss"), ("squared", "squared error"))),
    "seeds": Field("networks (seeds)", 3, _numbers(1, 3, 5), low=1, high=10, whole=True),
    "seed": Field("first seed", 0, (), low=0, high=999_999, whole=True),
    "lr": Field(
        "learning rate", 0.1, _numbers(0.0001, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1, 3, 10),
        live=True, low=0, high=1000,
    ),
    "divide_at": Field(
        "divided by ten", 0,
        ((0, "never"), *((n, f"at step {n:,}") for n in (500, 1000, 2000, 5000, 10000))),
        live=True, low=0, high=1_000_000, whole=True,
    ),
    "momentum": Field(
        "optimiser", 0,
        ((0, "SGD"), (0.5, "momentum 0.5"), (0.9, "momentum 0.9"), (0.99, "momentum 0.99")),
        live=True, low=0, high=0.999,
    ),
    "batch_size": Field(
        "batch size", 10, _numbers(1, 3, 10, 30, 100, 0, zero="all examples"),
        live=True, low=0, high=250, whole=True,
    ),
    "dropout": Field(
        "dropout", 0, _numbers(0, 0.1, 0.2, 0.3, 0.5, 0.7, zero="none"), live=True, low=0, high=0.95
    ),
    "max_norm": Field(
        "max-norm", 0, _numbers(0, 0.5, 1, 2, 4, zero="none"), live=True, low=0, high=1000
    ),
    "weight_decay": Field(
        "weight decay", 0, _numbers(0, 0.0001, 0.001, 0.003, 0.01, 0.03, 0.1, zero="none"),
        live=True, low=0, high=10,
    ),
    "speed": Field(
        "speed", 1000,
        ((10, "10 steps/s"), (50, "50 steps/s"), (200, "200 steps/s"), (1000, "1,000 steps/s"),
         (0, "as fast as it goes")),
        live=True, low=0, high=1_000_000,
    ),
    "stop_at": Field(
        "stop at step", 0,
        ((0, "when at rest"), *((n, f"{n:,}") for n in (300, 1000, 3000, 10000, 30000))),
        live=True, low=0, high=10_000_000, whole=True,
    ),
}  # fmt: skip
PACE = ("speed", "stop_at")  # of the show, not of the networks: both twins share them


def check(settings: Mapping[str, Any]) -> dict[str, Any]:
    """``settings`` as they go to the engine: BadSettings in one line names what does not fit."""
    found: dict[str, Any] = {}
    for name, value in settings.items():
        if name == "widths":
            widths = list(value)
            fits = len(widths) <= MOST_LAYERS and all(
                isinstance(w, int) and 1 <= w <= MOST_UNITS for w in widths
            )
            if not fits:
                raise BadSettings(
                    f"widths are {widths}, expected up to {MOST_LAYERS} whole numbers "
                    f"from 1 to {MOST_UNITS}"
                )
            found[name] = widths
            continue
        if name not in FIELDS:
            raise BadSettings(f"no setting {name!r}: there are widths, {', '.join(FIELDS)}")
        field = FIELDS[name]
        if field.low is None or field.high is None:
            names = [option for option, _ in field.options]
            if value not in names:
                raise BadSettings(f"{name} is {value!r}, expected one of {', '.join(names)}")
        elif (
            isinstance(value, bool)
            or not isinstance(value, int | float)
            or not field.low <= value <= field.high  # NaN is not, either
            or (field.whole and value != int(value))
        ):
            kind = "a whole number" if field.whole else "a number"
            raise BadSettings(
                f"{name} is {value!r}, expected {kind} from {field.low:g} to {field.high:g}"
            )
        found[name] = value
    return found


DEFAULTS = {name: field.default for name, field in FIELDS.items()} | {"widths": [4, 2]}


@functools.cache
def digits() -> tuple[Point, ...]:
    """Two kinds of digits as points: their first two principal components, and a label -1 or 1.

    Each component has mean 0 and standard deviation 1 and points to the later digit.
    """
    found = datasets.digits()
    pictures = np.concatenate([found.train_x.flatten(1), found.test_x.flatten(1)]).astype(float)
    kinds = np.concatenate([found.train_y, found.test_y])
    chosen = np.isin(kinds, DIGITS)
    x, y = pictures[chosen], np.where(kinds[chosen] == DIGITS[1], 1, -1)
    x = x - x.mean(0)
    _, _, directions = np.linalg.svd(x, full_matrices=False)
    z = x @ directions[:2].T
    z *= np.sign(z[y > 0].mean(0)) / z.std(0)
    rows = np.round(z, DIGITS_KEPT).tolist()
    return tuple((a, b, int(label)) for (a, b), label in zip(rows, y, strict=True))


class Playground(anywidget.AnyWidget):
    """A small dense network, trained while the reader looks on.

    Two inputs, up to six hidden layers of up to eight units, one output f, two labels y = -1 and 1;
    the loss is log(1 + exp(-y f)) or (f - y)^2. The picture shows the output over the plane, every
    unit's feature, and the losses with a band over ``seeds`` networks that differ in first weights,
    order and dropout only. On a page the browser trains, in a Web Worker; beside a kernel, PyTorch.

    ``preset`` gives settings (names and ranges in ``FIELDS``, and ``widths``, the hidden layers');
    the others are ``DEFAULTS``. ``compare`` gives one setting another value: a twin with it is
    trained in step with the first. ``paste`` is text in which each line has two numbers and a
    label, as a reader may paste it, for data="pasted".

    ``key`` is short, unique on its page, and names the widget in the page's address.
    ``title`` says what is shown, ``about`` what to try and what to look for.
    ``settings``, ``twin`` (the setting in which the twin differs), ``unit`` (the chosen one's place
    among all, inputs first; -1 is the output), ``opened`` and ``predicted`` are the state that the
    reader changes; Python sees it in a notebook. A change of them from Python works too.

    BadSettings names what does not fit.
    """

    _esm: ClassVar[str] = bundle(FOLDER / "playground" / "index.js")
    _css: ClassVar[str] = style("kit.css", "playground.css")
    spec = traitlets.Dict().tag(sync=True)
    settings = traitlets.Dict().tag(sync=True)
    twin = traitlets.Dict().tag(sync=True)
    unit = traitlets.Int(-1).tag(sync=True)
    opened = traitlets.Bool(True).tag(sync=True)
    predicted = traitlets.Int(-1).tag(sync=True)

    def __init__(
        self,
        *,
        key: str,
        title: str,
        about: str,
        preset: Mapping[str, Any] | None = None,
        compare: Mapping[str, Any] | None = None,
        predict: Prediction | None = None,
        paste: str = "",
    ) -> None:
        check_key(key)
        settings = DEFAULTS | check(preset or {})
        twin = check(compare or {})
        if len(twin) > 1 or any(name in (*PACE, "seeds") for name in twin):
            raise BadSettings(
                f"compare is {dict(compare or {})}, expected one setting that is not of "
                f"{', '.join((*PACE, 'seeds'))}"
            )
        if any(settings[name] == value for name, value in twin.items()):
            raise BadSettings(f"compare is {twin}, expected another value than the preset's")
        if "pasted" in (settings["data"], twin.get("data")) and not paste:
            raise BadSettings(
                "data is 'pasted', but paste is empty: expected lines of x1, x2, label"
            )
        spec = {
            "key": key,
            "title": title,
            "about": about,
            "fields": [
                {"name": name} | asdict(field) | {"options": [list(o) for o in field.options]}
                for name, field in FIELDS.items()
            ],
            "most": [MOST_LAYERS, MOST_UNITS],
            "digits": [list(point) for point in digits()],
            "paste": paste,
            "predict": predict and asdict(predict) | {"options": list(predict.options)},
        }
        super().__init__(spec=spec, settings=settings, twin=twin, opened=predict is None)
        self._kernel = Kernel()
        self.on_msg(self._answer)

    def _answer(self, _: Any, message: Any, __: Any) -> None:
        self.send(self._kernel.answer(message))


class Kernel:
    """The other end of a Playground: answers one message at a time by training in PyTorch.

    * ``{"type": "hello"}``: a greeting with PyTorch's version;
    * ``{"type": "start", "id", "runs": [{"settings", "given"}]}``: new networks for each run;
    * ``{"type": "set", "id", "changes": [{"at", "name", "value"}]}``: a live change of run ``at``;
    * ``{"type": "advance", "id", "to"}``: trains up to step ``to``, or for BUDGET seconds.

    All but the first are answered by a frame with the moments kept since the last, as the engine in
    the page would; an error by its one line.
    """

    def __init__(self) -> None:
        self.runs: list[_Run] = []
        self.name = 0

    def answer(self, message: Mapping[str, Any]) -> dict[str, Any]:
        """The answer to ``message``."""
        try:
            if message["type"] == "hello":
                return {"type": "kernel", "torch": torch.__version__}
            if message["type"] == "start":
                self.name = message["id"]
                self.runs = [_Run(run["settings"], run["given"]) for run in message["runs"]]
            elif message["id"] != self.name:
                return {"type": "stale", "id": message["id"]}
            elif message["type"] == "set":
                for change in message["changes"]:
                    self.runs[change["at"]].set(change["name"], change["value"])
            elif message["type"] == "advance":
                end = time.monotonic() + BUDGET
                while self.runs[0].steps < message["to"] and time.monotonic() < end:
                    for run in self.runs:
                        run.step()
            else:
                raise BadSettings(f"message {message['type']!r}, expected hello, start or advance")
        except (KeyError, IndexError, BadSettings) as error:
            return {"type": "error", "message": f"{error}"}
        return {
            "type": "frame",
            "id": self.name,
            "step": self.runs[0].steps,
            "moments": [run.kept() for run in self.runs],
            "now": [run.look() for run in self.runs],
            "changes": [run.changes for run in self.runs],
        }


class _Run:
    """Networks of one setting and several seeds, as `run` in playground/engine/run.js."""

    def __init__(self, settings: Mapping[str, Any], given: Sequence[Point]) -> None:
        self.settings: dict[str, Any] = DEFAULTS | check(settings)
        data = self.settings["data"]
        if data in playground_torch.MAKERS:
            train, test = (
                playground_torch.draw(playground_torch.MAKERS[data], self.settings, use, count)
                for use, count in (("train", self.settings["examples"]), ("test", TEST_EXAMPLES))
            )
        else:
            rows, count = np.array(given, dtype=float), self.settings["examples"]
            train, test = (
                (part[:, :2], part[:, 2])
                for part in (rows[::2][:count], rows[1::2][:TEST_EXAMPLES])
            )
        self.networks = [
            playground_torch.Training(self.settings, train, test, self.settings["seed"] + n)
            for n in range(self.settings["seeds"])
        ]
        self.steps, self.due = 0, 0
        self.changes: list[list[Any]] = []
        self.moments: list[dict[str, Any]] = []
        self._keep()

    def set(self, name: str, value: Any) -> None:
        """A live change, which all networks of the run see at their next step."""
        self.settings.update(check({name: value}))
        self.changes.append([self.steps, name, value])

    def step(self) -> None:
        for network in self.networks:
            network.step()
        self.steps += 1
        if self.steps >= self.due:
            self._keep()

    def kept(self) -> list[dict[str, Any]]:
        """The moments kept since the last call."""
        found, self.moments = self.moments, []
        return found

    def _keep(self) -> None:
        self.moments.append(self.look())
        self.due = self.steps + max(1, self.steps // 40)

    def look(self) -> dict[str, Any]:
        """Losses and errors of all networks, the first one's weights and the sizes of them."""
        first = self.networks[0]
        flat = torch.cat([p.flatten() for p in first.parameters])
        gradient, n = first.gradient, len(first.train[1])
        return {
            "step": self.steps,
            "epoch": first.drawn / (n - 1) - len(first.order) / n if self.steps else 0,
            "train": [_number(net.loss(*net.train)) for net in self.networks],
            "test": [_number(net.loss(*net.test)) for net in self.networks],
            "trainError": [_error(net, *net.train) for net in self.networks],
            "testError": [_error(net, *net.test) for net in self.networks],
            "weights": [_number(w) for w in flat.tolist()],
            "weightSizes": [_number(w.square().mean().sqrt()) for w in first.weights],
            "gradientSizes": gradient
            and [_number(g.square().mean().sqrt()) for g in gradient[::2]],
        }


def _error(network: playground_torch.Training, x: torch.Tensor, y: torch.Tensor) -> float:
    """The share of wrong answers; an output of zero or NaN is wrong."""
    return float((~(network(x) * y > 0)).double().mean())


def _number(value: Any) -> float | None:
    """``value`` for JSON, which knows no NaN: None."""
    found = float(value)
    return found if math.isfinite(found) else None
