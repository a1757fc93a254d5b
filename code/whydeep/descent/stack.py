"""Minibatch stochastic gradient descent on a stack of K networks at once, measured on the way.

From a start w_0, step t draws a batch B_t of examples and sets

    g_t     = gradient at w_t of the mean loss on B_t,  plus  weight_decay * w_t
    v_{t+1} = momentum * v_t + g_t,                      v_0 = 0
    w_{t+1} = w_t - lr * v_{t+1}

(Robbins and Monro, 1951; momentum as Polyak, 1964, in the form of `torch.optim.SGD`). An epoch
visits every example once, in a new order. The step itself is `whydeep.descent.loop`.

A *stack* is K networks of one architecture: K seeds, or K settings of a sweep. Its weights are
tensors with one more dimension, (K, ...), and all members take their step in one pass.
Single runs mislead, and this makes K of them cheap. A member's run depends on its own seed and
settings only: not on K, and not on its neighbours, even if one of them diverges.
"""

import copy
import fnmatch
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import torch
from jaxtyping import Float, Int64, Num
from torch import Tensor
from torch.func import functional_call, stack_module_state, vmap

from whydeep import device as devices
from whydeep.chance import Chance, chances
from whydeep.datasets.labels import corrupt_labels
from whydeep.descent.loop import Change, walk
from whydeep.descent.losses import log_loss
from whydeep.descent.progress import bar
from whydeep.descent.rules import decay
from whydeep.descent.rules import momentum as with_momentum
from whydeep.errors import BadSettings
from whydeep.members import PerMember, is_shared, numbers
from whydeep.networks.plain import Network, affine

Seed = int | Chance
Loss = Callable[[Tensor, Tensor], Tensor]


@dataclass
class Trained:
    """A stack of K networks, and how it got there. Measures get one too, in mid-training."""

    network: Network
    """The architecture, without numbers (on PyTorch's `meta` device): see `member`."""
    seeds: tuple[Seed, ...]
    """Each member's seed, as given to `train`."""
    parameters: dict[str, Tensor]
    """Each weight of the network, stacked: name -> (K, ...)."""
    labels: Tensor
    """The labels that the members were trained on, label noise included: (K, n) or (K, n, m)."""
    batch_loss: Tensor
    """The mean loss on each step's batch, before the step: (K, steps). Not finite: diverged."""
    measured_at: tuple[int, ...] = ()
    """The steps that had been taken at each measurement: T numbers."""
    history: dict[str, Tensor] = field(default_factory=dict)
    """What was measured, on the CPU: name -> (K, T), or (K, T, ...). Empty in mid-training."""

    def __len__(self) -> int:
        return len(self.seeds)

    @property
    def device(self) -> torch.device:
        return next(iter(self.parameters.values())).device

    def outputs(self, x: Tensor) -> Float[Tensor, "k n classes"]:
        """The logits of the examples x, shared (n, ...) or per member (K, n, ...)."""
        return self._evaluate(x, features=False)

    def features(self, x: Tensor) -> Float[Tensor, "k n features"]:
        """Phi(x), what the classifier sees, of the examples x: (n, ...) or (K, n, ...)."""
        return self._evaluate(x, features=True)

    def predict(self, x: Tensor) -> Int64[Tensor, "k n"]:
        """The label with the largest logit, of the examples x: (n, ...) or (K, n, ...)."""
        return self.outputs(x).argmax(-1)

    def member(self, k: int) -> Network:
        """Member k as an ordinary module with weights of its own."""
        own = {name: p[k].clone() for name, p in self.parameters.items()}
        return _with_weights(self.network, own)

    def members(self, which: slice) -> "Trained":
        """Some of the members, sharing memory with this stack."""
        return Trained(
            self.network,
            self.seeds[which],
            {name: p[which] for name, p in self.parameters.items()},
            self.labels[which],
            self.batch_loss[which],
            self.measured_at,
            {name: values[which] for name, values in self.history.items()},
        )

    @torch.no_grad()
    def _evaluate(self, x: Tensor, *, features: bool) -> Tensor:
        """The network on 1000 examples at a time, so that a large x needs no more memory."""
        shared = is_shared(x, self.network.example_dims, len(self), "x")
        x = x.to(next(iter(self.parameters.values())))
        stacked = []
        for members in _groups(self.network, len(self), self.device):
            weights = {name: p[members] for name, p in self.parameters.items()}
            forward = _forward(self.network, features=features)
            parts = x.split(1000) if shared else x[members].split(1000, dim=1)
            stacked.append(torch.cat([forward(weights, part, shared) for part in parts], 1))
        return torch.cat(stacked)


Measure = Callable[[Trained], Tensor]


def accuracy(x: Tensor, y: Tensor) -> "Measure":
    """A measure: the fraction of the examples x whose predicted label is y, per member (K,)."""
    return lambda trained: (trained.predict(x).cpu() == y.cpu()).double().mean(1)


def mean_loss(x: Tensor, y: Tensor, loss: Loss = log_loss) -> "Measure":
    """A measure: the mean loss over the examples x with labels or targets y, per member (K,)."""

    def measure(trained: "Trained") -> Tensor:
        outputs = trained.outputs(x)
        labels = y.to(outputs) if y.is_floating_point() else y.to(trained.device)
        if is_shared(labels, int(y.is_floating_point()), len(trained), "y"):
            labels = labels.expand(len(trained), *labels.shape)
        return loss(outputs, labels).mean(1)

    return measure


def train(
    network: Callable[..., Network],
    x: Float[Tensor, "..."],
    y: Num[Tensor, "..."],
    *,
    seeds: Sequence[Seed],
    starts: Sequence[Seed] | None = None,
    lr: PerMember,
    steps: int | None = None,
    epochs: int | None = None,
    batch_size: int | None = None,
    momentum: PerMember = 0.0,
    weight_decay: PerMember = 0.0,
    label_noise: PerMember = 0.0,
    trainable: Sequence[str] = ("*",),
    loss: Loss = log_loss,
    measure: Mapping[str, Measure] | None = None,
    measure_at: Literal["epoch"] | Collection[int] = "epoch",
    device: str | torch.device | None = None,
    dtype: torch.dtype = torch.float32,
    progress: bool = True,
) -> Trained:
    """Train a stack of K = len(seeds) networks by minibatch SGD.

    The network, the data and the seeds:

    * `network(generator=...)` returns one member's initial network: `partial(Dense, (784, 10))`.
    * `x`: the examples, shared (n, ...) or per member (K, n, ...).
    * `y`: labels 0, 1, ... as integers, shared (n,) or per member (K, n);
      or targets as floats, (n, m) or (K, n, m), for a loss that takes them.
    * `seeds`: one for each member; equal seeds give equal starts, orders and noise draws, which
      pairs the members of a sweep. `Chance.members` makes K independent ones from a single seed.
    * `starts`: the same for the initial networks alone, where they are not to follow the `seeds`.

    The settings; a number, or K numbers, one for each member, where it says (K,):

    * `lr`, `momentum`, `weight_decay` (K,): see the top of this file. Decay spares no weight.
    * `label_noise` (K,): the probability with which a label is replaced, once and for all before
      training, by one drawn uniformly from all classes (see `corrupt_labels`).
    * `steps` or `epochs` (one of them): how long. `batch_size`: examples a step, all if None.
      The last batch of an epoch is smaller if the batch size does not divide n.
    * `trainable`: patterns for the names of the weights that learn; the others stay as they
      start. `("classifier.*",)` trains logistic regression on random features.
    * `loss(outputs, y)`: the loss of each example, from outputs (K, n, classes) to (K, n).

    What to look at, and where to compute:

    * `measure`: name -> function of the stack, returning one number (K,) or more (K, ...) a member.
      It sees the stack after the numbers of steps in `measure_at`; "epoch" means before the first
      step, after every epoch and after the last step. Measure no more often than you plot.
    * `device`: see `whydeep.device`. `dtype`: float32 or float64, of the weights and of x.
    * `progress`: show a bar if this takes more than 2 s (in a terminal or a live notebook only).

    A member whose loss is not finite is no error: `Trained.batch_loss` records it.
    Raises `BadSettings` for settings or shapes that do not fit together.
    """
    k = len(seeds)
    if starts is not None and len(starts) != k:
        raise BadSettings(f"{len(starts)} starts for {k} seeds: expected one a member")
    if k < 1 or (steps is None) == (epochs is None) or min(steps or 0, epochs or 0) < 0:
        raise BadSettings(
            f"{k} seeds, steps {steps} and epochs {epochs}: expected at least one seed and "
            f"exactly one of steps and epochs, 0 or more"
        )
    device = devices.device(device)
    chance = chances(seeds)
    begun = chance if starts is None else chances(starts)
    members = [network(generator=each["init"]) for each in begun]
    skeleton = copy.deepcopy(members[0]).to("meta")
    start, _ = stack_module_state(members)
    parameters = {name: p.detach().to(device, dtype) for name, p in start.items()}

    x_shared = is_shared(x, skeleton.example_dims, k, "x")
    x = x.to(device, dtype)
    if not is_shared(y, int(y.is_floating_point()), k, "y"):
        n = y.shape[1]
    else:
        n = y.shape[0]
        y = y.expand(k, *y.shape)
    if n < 1 or n != x.shape[0 if x_shared else 1]:
        raise BadSettings(
            f"x has {x.shape[0 if x_shared else 1]} examples and y has {n}: "
            f"expected one label for each example, and at least one"
        )
    noise = numbers(label_noise, "label_noise", k, at_most=1.0)
    if not y.is_floating_point():
        labels = corrupt_labels(y, noise, chance, skeleton.classes).to(device)
    elif not noise.any():
        labels = y.to(device, dtype)
    else:
        raise BadSettings("label_noise is for labels 0, 1, ..., but y holds floats: leave it out")

    batch_size = n if batch_size is None else min(batch_size, n)
    if batch_size < 1:
        raise BadSettings(
            f"batch_size is {batch_size}, expected 1 or more, or None for all examples"
        )
    steps_per_epoch = -(-n // batch_size)
    steps = steps if steps is not None else epochs * steps_per_epoch  # pyright: ignore[reportOptionalOperand]
    if measure_at == "epoch":
        measure_at = {*range(0, steps, steps_per_epoch), steps}
    if not all(0 <= step <= steps for step in measure_at):
        raise BadSettings(
            f"measure_at has {min(measure_at)} to {max(measure_at)}, expected 0 to {steps}"
        )

    trained = Trained(
        network=skeleton,
        seeds=tuple(seeds),
        parameters=parameters,
        labels=labels,
        batch_loss=torch.empty(k, steps, device=device, dtype=dtype),
        measured_at=tuple(sorted(set(measure_at))),
    )
    settings = {"lr": lr, "momentum": momentum, "weight_decay": weight_decay}
    settings = {s: numbers(v, s, k).to(device, dtype) for s, v in settings.items()}

    # All members take a step before any takes the next, so that a measure always sees them all.
    learning = _matching(trainable, parameters)
    groups = _groups(skeleton, k, device)
    measured: dict[str, list[Tensor]] = {name: [] for name in measure or {}}
    with bar(steps * len(groups), progress) as shown:
        runs = [
            _steps(
                trained.members(group),
                _batches(
                    chance[group], x if x_shared else x[group], x_shared, labels[group], batch_size
                ),
                {name: value[group] for name, value in settings.items()},
                learning,
                loss,
            )
            for group in groups
        ]
        columns = [trained.batch_loss[group].unbind(1) for group in groups]
        for step in range(steps + 1):
            if step in trained.measured_at:
                for name, values in measured.items():
                    # A copy: a measure may return the weights themselves, which go on changing.
                    values.append(measure[name](trained).detach().to("cpu", copy=True))  # pyright: ignore[reportOptionalSubscript]
            if step < steps:
                for losses, run in zip(columns, runs, strict=True):
                    losses[step].copy_(next(run))
                    shown.update()
    trained.history = {
        name: torch.stack(values, dim=1) for name, values in measured.items() if values
    }
    return trained


def _steps(
    trained: Trained,
    batches: Iterator[tuple[Tensor, Tensor, bool]],
    settings: Mapping[str, Float[Tensor, " k"]],
    learning: Sequence[str],
    loss: Loss,
) -> Iterator[Float[Tensor, " k"]]:
    """One step of these members after the other; their weights change in place."""
    # Leaves of the graph that share memory with the stack: learning in them is learning in it.
    if len(trained) > 1:
        weights = {name: p.detach() for name, p in trained.parameters.items()}
        stacked = _forward(trained.network)

        def outputs(x: Tensor, shared: bool) -> Tensor:
            return stacked(weights, x, shared)

    else:  # nothing to batch: an ordinary module is fastest
        alone = _with_weights(trained.network, {n: p[0] for n, p in trained.parameters.items()})
        weights = dict(alone.named_parameters())

        def outputs(x: Tensor, shared: bool) -> Tensor:
            return alone(x if shared else x[0]).unsqueeze(0)

    for name, w in weights.items():
        w.requires_grad_(name in learning)
    rule: list[Change] = [decay(settings["weight_decay"])] * bool(settings["weight_decay"].any())
    rule += [with_momentum(settings["momentum"])] * bool(settings["momentum"].any())

    def batch_loss(_: list[Tensor], batch: tuple[Tensor, Tensor, bool]) -> Float[Tensor, " k"]:
        x, y, shared = batch
        return loss(outputs(x, shared), y).mean(1)

    moved = [weights[name] for name in learning]
    return walk(moved, batch_loss, batches, lr=settings["lr"], rule=rule)


def _forward(
    network: Network, *, features: bool = False
) -> Callable[[Mapping[str, Tensor], Tensor, bool], Float[Tensor, "k n outputs"]]:
    """Each member's outputs, or features, for its own x (k, n, ...), or for a shared (n, ...)."""
    phi = network.stacked_features
    module = _Features(network) if features else network

    def one(weights: Mapping[str, Tensor], x: Tensor) -> Tensor:
        named = {f"network.{name}": w for name, w in weights.items()} if features else weights
        return functional_call(module, dict(named), (x,))

    def forward(weights: Mapping[str, Tensor], x: Tensor, shared: bool) -> Tensor:
        if len(next(iter(weights.values()))) == 1:  # a single member needs no batching over members
            own = {name: w[0] for name, w in weights.items()}
            return one(own, x if shared else x[0]).unsqueeze(0)
        if phi is None:
            return vmap(one, in_dims=(0, None if shared else 0))(weights, x)
        return phi(weights, x) if features else affine(weights, "classifier", phi(weights, x))

    return forward


def _batches(
    chance: Sequence[Chance], x: Tensor, x_shared: bool, labels: Tensor, batch_size: int
) -> Iterator[tuple[Tensor, Tensor, bool]]:
    """Endless batches (x, y, whether all members share x), an epoch after the other."""
    k, n = labels.shape[:2]
    while batch_size == n:
        yield x, labels, x_shared

    # Rows of all members in one long table, gathered into the same memory at every step.
    members = torch.arange(k, device=x.device)[:, None]
    tables = (x if x_shared else x.flatten(0, 1)), labels.flatten(0, 1)
    x_memory, y_memory = (t.new_empty(k * batch_size, *t.shape[1:]) for t in tables)
    generators = [each["order"] for each in chance]
    while True:
        order = torch.stack([torch.randperm(n, generator=g) for g in generators]).to(x.device)
        own = order + n * members
        for first in range(0, n, batch_size):
            rows = slice(None), slice(first, first + batch_size)
            x_rows = (order if x_shared else own)[rows]
            yield (
                _gather(tables[0], x_rows, x_memory),
                _gather(tables[1], own[rows], y_memory),
                False,
            )


def _gather(table: Tensor, rows: Int64[Tensor, "k b"], memory: Tensor) -> Tensor:
    """table[rows], written into memory."""
    found = torch.index_select(table, 0, rows.flatten(), out=memory[: rows.numel()])
    return found.view(*rows.shape, *table.shape[1:])


def _groups(network: Network, k: int, device: torch.device) -> list[slice]:
    """Which members take their steps together: all, or, where that is slower, each on its own."""
    if device.type == "cpu" and not network.stacks_on_cpu:
        return [slice(i, i + 1) for i in range(k)]
    return [slice(0, k)]


def _matching(patterns: Sequence[str], names: Mapping[str, Tensor]) -> list[str]:
    """The names of the weights that learn."""
    for pattern in patterns:
        if not fnmatch.filter(names, pattern):
            raise BadSettings(
                f"trainable has '{pattern}', which is no weight of this network: "
                f"expected names or patterns among {', '.join(names)}"
            )
    if not patterns:
        raise BadSettings(
            "trainable is empty: name the weights that learn, or leave it out for all"
        )
    return [name for name in names if any(fnmatch.fnmatchcase(name, p) for p in patterns)]


class _Features(torch.nn.Module):
    """Phi as a module, since `functional_call` calls whole modules only."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> Tensor:
        return self.network.features(x)


def _with_weights(network: Network, weights: dict[str, Tensor]) -> Network:
    """A copy of the network that holds these weights (their memory, not a copy of it)."""
    copied = copy.deepcopy(network)
    copied.load_state_dict(weights, assign=True)
    return copied
