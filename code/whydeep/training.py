"""Minibatch stochastic gradient descent as the book defines it, on a stack of K networks at once.

From a start w_0, step t draws a batch B_t of examples and sets

    g_t     = gradient at w_t of the mean loss on B_t,  plus  weight_decay * w_t
    v_{t+1} = momentum * v_t + g_t,                      v_0 = 0
    w_{t+1} = w_t - lr * v_{t+1}

(Robbins and Monro, 1951; momentum as Polyak, 1964, in the form of `torch.optim.SGD`). An epoch
visits every example once, in a new order.

A *stack* is K networks of one architecture: K seeds, or K settings of a sweep. Its weights are
tensors with one more dimension, (K, ...), and all members take their step in one pass.
Single runs mislead, and this makes K of them cheap. A member's run depends on its own seed and
settings only: not on K, and not on its neighbours, even if one of them diverges.
"""

import copy
import fnmatch
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Float64, Int, Int64, Num
from torch import Tensor
from torch.func import functional_call, stack_module_state, vmap
from tqdm import tqdm

from whydeep import device as devices
from whydeep.errors import BadSettings
from whydeep.networks import Network

Seed = int | np.random.SeedSequence
PerMember = float | int | Sequence[float | int] | Tensor | np.ndarray
Loss = Callable[[Tensor, Tensor], Tensor]

# Each use of chance has a generator of its own, so that a change in one leaves the others alone.
# A new use goes to the end: the order is part of what a seed means.
STREAMS = ("init", "order", "labels")


# --- Losses and measures -----------------------------------------------------------------------


def log_loss(outputs: Float[Tensor, "*k n classes"], y: Int64[Tensor, "*k n"]) -> Tensor:
    """-log of the probability that softmax(outputs) gives to the label, per example: (*k, n)."""
    losses = F.cross_entropy(outputs.flatten(0, -2), y.flatten(), reduction="none")
    return losses.view(y.shape)


def squared_error(outputs: Float[Tensor, "*k n m"], y: Float[Tensor, "*k n m"]) -> Tensor:
    """The squared distance of the outputs from the targets, per example: (*k, n)."""
    return (outputs - y).square().sum(-1)


def accuracy(x: Tensor, y: Tensor) -> "Measure":
    """A measure: the fraction of the examples x whose predicted label is y, per member (K,)."""
    return lambda trained: (trained.predict(x).cpu() == y.cpu()).double().mean(1)


def mean_loss(x: Tensor, y: Tensor, loss: Loss = log_loss) -> "Measure":
    """A measure: the mean loss over the examples x with labels or targets y, per member (K,)."""

    def measure(trained: "Trained") -> Tensor:
        outputs = trained.outputs(x)
        labels = y.to(outputs) if y.is_floating_point() else y.to(trained.device)
        if _is_shared(labels, int(y.is_floating_point()), len(trained), "y"):
            labels = labels.expand(len(trained), *labels.shape)
        return loss(outputs, labels).mean(1)

    return measure


# --- What training returns ---------------------------------------------------------------------


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
        return self._evaluate(self.network, self.parameters, x)

    def features(self, x: Tensor) -> Float[Tensor, "k n features"]:
        """Phi(x), what the classifier sees, of the examples x: (n, ...) or (K, n, ...)."""
        parameters = {f"network.{name}": p for name, p in self.parameters.items()}
        return self._evaluate(_Features(self.network), parameters, x)

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
    def _evaluate(
        self, module: torch.nn.Module, parameters: dict[str, Tensor], x: Tensor
    ) -> Tensor:
        """The module on 1000 examples at a time, so that a large x needs no more memory."""
        shared = _is_shared(x, self.network.example_dims, len(self), "x")
        x = x.to(next(iter(parameters.values())))
        stacked = []
        for members in _groups(self.network, len(self), self.device):
            weights = {name: p[members] for name, p in parameters.items()}
            parts = x.split(1000) if shared else x[members].split(1000, dim=1)
            stacked.append(
                torch.cat([_forward(module, weights, part, shared) for part in parts], 1)
            )
        return torch.cat(stacked)


Measure = Callable[[Trained], Tensor]


# --- Training ----------------------------------------------------------------------------------


def train(
    network: Callable[..., Network],
    x: Float[Tensor, "..."],
    y: Num[Tensor, "..."],
    *,
    seeds: Sequence[Seed],
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
    measure_at: Literal["epoch"] | Sequence[int] = "epoch",
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
      pairs the members of a sweep. `member_seeds` makes K independent ones from a single seed.

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
    if k < 1 or (steps is None) == (epochs is None) or min(steps or 0, epochs or 0) < 0:
        raise BadSettings(
            f"{k} seeds, steps {steps} and epochs {epochs}: expected at least one seed and "
            f"exactly one of steps and epochs, 0 or more"
        )
    device = devices.device(device)
    members = [network(generator=generator(seed, "init")) for seed in seeds]
    skeleton = copy.deepcopy(members[0]).to("meta")
    start, _ = stack_module_state(members)
    parameters = {name: p.detach().to(device, dtype) for name, p in start.items()}

    x_shared = _is_shared(x, skeleton.example_dims, k, "x")
    x = x.to(device, dtype)
    if not _is_shared(y, int(y.is_floating_point()), k, "y"):
        n = y.shape[1]
    else:
        n = y.shape[0]
        y = y.expand(k, *y.shape)
    if n < 1 or n != x.shape[0 if x_shared else 1]:
        raise BadSettings(
            f"x has {x.shape[0 if x_shared else 1]} examples and y has {n}: "
            f"expected one label for each example, and at least one"
        )
    noise = _per_member(label_noise, "label_noise", k, at_most=1.0)
    if not y.is_floating_point():
        labels = corrupt_labels(y, noise, seeds, skeleton.classes).to(device)
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
    steps = steps if steps is not None else epochs * steps_per_epoch
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
    settings = {s: _per_member(v, s, k).to(device, dtype) for s, v in settings.items()}

    # Each run stops at the numbers of steps asked for, so that a measure always sees all members.
    stops = sorted({*trained.measured_at, steps})
    measured: dict[str, list[Tensor]] = {name: [] for name in measure or {}}
    groups = _groups(skeleton, k, device)
    silent = not (progress and can_show_progress())
    with tqdm(total=steps * len(groups), unit="step", delay=2, leave=False, disable=silent) as bar:
        runs = [
            _descend(
                trained.members(group),
                _batches(
                    seeds[group], x if x_shared else x[group], x_shared, labels[group], batch_size
                ),
                {name: value[group] for name, value in settings.items()},
                _matching(trainable, parameters),
                loss,
                stops,
                bar,
            )
            for group in groups
        ]
        for stop in stops:
            for run in runs:
                next(run)
            if stop in trained.measured_at:
                for name, values in measured.items():
                    # A copy: a measure may return the weights themselves, which go on changing.
                    values.append(measure[name](trained).detach().to("cpu", copy=True))
    trained.history = {
        name: torch.stack(values, dim=1) for name, values in measured.items() if values
    }
    return trained


def _descend(
    trained: Trained,
    batches: Iterator[tuple[Tensor, Tensor, bool]],
    settings: dict[str, Float[Tensor, " k"]],
    trainable: list[str],
    loss: Loss,
    stops: list[int],
    bar: tqdm,
) -> Iterator[None]:
    """Train these members to each stop in turn; weights and batch losses change in place."""
    # Leaves of the graph that share memory with the stack: learning in them is learning in it.
    if len(trained) > 1:
        weights = {name: p.detach() for name, p in trained.parameters.items()}
        forward = partial(_forward, trained.network, weights)
    else:  # nothing to batch: an ordinary module is fastest
        alone = _with_weights(trained.network, {n: p[0] for n, p in trained.parameters.items()})
        weights = dict(alone.named_parameters())

        def forward(x: Tensor, shared: bool) -> Tensor:
            return alone(x if shared else x[0]).unsqueeze(0)

    for name, w in weights.items():
        w.requires_grad_(name in trainable)
    learning = [weights[name] for name in trainable]
    # Every setting with as many dimensions as the weight it multiplies, the members first.
    minus_lr, momentum, decay = (
        [(sign * settings[name]).view(-1, *[1] * (w.ndim - 1)) for w in learning]
        for name, sign in (("lr", -1), ("momentum", 1), ("weight_decay", 1))
    )
    has_momentum, has_decay = (bool(settings[s].any()) for s in ("momentum", "weight_decay"))
    velocity = [torch.zeros_like(w) for w in learning] if has_momentum else []

    done = 0
    for stop in stops:
        for step in range(done, stop):
            x, y, shared = next(batches)
            # One backward pass gives every member its own gradient: the losses of the members are
            # added, and a member's weights appear in its own loss only.
            losses = loss(forward(x, shared), y).mean(1)
            gradient = torch.autograd.grad(losses.sum(), learning)
            with torch.no_grad():
                trained.batch_loss[:, step] = losses
                if has_decay:
                    gradient = torch._foreach_addcmul(gradient, learning, decay)
                if has_momentum:
                    torch._foreach_mul_(velocity, momentum)
                    torch._foreach_add_(velocity, gradient)
                    gradient = velocity
                torch._foreach_addcmul_(learning, gradient, minus_lr)
            bar.update()
        done = stop
        yield


def _forward(
    module: torch.nn.Module, weights: dict[str, Tensor], x: Tensor, shared: bool
) -> Float[Tensor, "k n outputs"]:
    """Each member's outputs for its own x (k, n, ...), or for an x (n, ...) that all share."""

    def one(weights: dict[str, Tensor], x: Tensor) -> Tensor:
        return functional_call(module, weights, (x,))

    if len(next(iter(weights.values()))) > 1:
        return vmap(one, in_dims=(0, None if shared else 0))(weights, x)
    # A single member needs no batching over members.
    return one({name: w[0] for name, w in weights.items()}, x if shared else x[0]).unsqueeze(0)


def _groups(network: Network, k: int, device: torch.device) -> list[slice]:
    """Which members take their steps together: all, or, where that is slower, each on its own."""
    if device.type == "cpu" and not network.stacks_on_cpu:
        return [slice(i, i + 1) for i in range(k)]
    return [slice(0, k)]


# --- Chance ------------------------------------------------------------------------------------


def member_seeds(seed: Seed, k: int) -> list[np.random.SeedSequence]:
    """K independent seeds from one; the first ones are the same whatever K is."""
    return [_child(seed, i) for i in range(k)]


def generator(seed: Seed, stream: str) -> torch.Generator:
    """A fresh generator, on the CPU, for one of the `STREAMS` of the member with this seed."""
    state = _child(seed, STREAMS.index(stream)).generate_state(1, np.uint64)
    return torch.Generator().manual_seed(int(state[0]))


def _child(seed: Seed, i: int) -> np.random.SeedSequence:
    """What `SeedSequence(seed).spawn` returns as its i-th, without counting the spawns."""
    if not isinstance(seed, np.random.SeedSequence):
        seed = np.random.SeedSequence(seed)
    return np.random.SeedSequence(seed.entropy, spawn_key=(*seed.spawn_key, i))


def corrupt_labels(
    y: Int[Tensor, "*k n"], fraction: PerMember, seeds: Sequence[Seed], classes: int
) -> Int64[Tensor, "k n"]:
    """The labels each member is trained on, if a fraction of them is noise.

    With probability `fraction`, a number or one for each member, a label is replaced by one drawn
    uniformly from all `classes`, the right one included, independently for each example (Zhang et
    al., 2017, "partially corrupted labels"): a share (classes - 1) / classes of the replaced ones
    is wrong. `y` is shared, (n,), or per member, (K, n). For one seed, the labels replaced at a
    small fraction are among those replaced at a larger one, and by the same labels.

    Raises `BadSettings` if a fraction is outside 0 to 1 or a label outside 0 to classes - 1.
    """
    k, n = len(seeds), y.shape[-1]
    fraction = _per_member(fraction, "label_noise", k, at_most=1.0)
    if y.numel() and not 0 <= int(y.min()) <= int(y.max()) < classes:
        raise BadSettings(
            f"y has labels from {int(y.min())} to {int(y.max())}, expected 0 to {classes - 1}, as "
            f"the network has {classes} outputs: renumber the labels or widen the last layer"
        )
    y = y.cpu().long().expand(k, n)
    if not fraction.any():
        return y
    corrupted = []
    for labels, p, seed in zip(y, fraction, seeds, strict=True):
        chance = generator(seed, "labels")
        replaced = torch.rand(n, generator=chance, dtype=torch.float64) < p
        drawn = torch.randint(classes, (n,), generator=chance)
        corrupted.append(torch.where(replaced, drawn, labels))
    return torch.stack(corrupted)


def _batches(
    seeds: Sequence[Seed], x: Tensor, x_shared: bool, labels: Tensor, batch_size: int
) -> Iterator[tuple[Tensor, Tensor, bool]]:
    """Endless batches (x, y, whether all members share x), an epoch after the other."""
    k, n = labels.shape[:2]
    while batch_size == n:
        yield x, labels, x_shared

    # Rows of all members in one long table, gathered into the same memory at every step.
    members = torch.arange(k, device=x.device)[:, None]
    tables = (x if x_shared else x.flatten(0, 1)), labels.flatten(0, 1)
    x_memory, y_memory = (t.new_empty(k * batch_size, *t.shape[1:]) for t in tables)
    generators = [generator(seed, "order") for seed in seeds]
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


# --- Settings ----------------------------------------------------------------------------------


def _per_member(
    value: PerMember, name: str, k: int, at_most: float = np.inf
) -> Float64[Tensor, " k"]:
    """A number for each member, from one for all or one for each."""
    values = torch.as_tensor(value, dtype=torch.float64).cpu()
    if values.ndim > 1 or (values.ndim == 1 and len(values) != k):
        raise BadSettings(
            f"{name} has shape {tuple(values.shape)}, expected one number, or {k} numbers for the "
            f"{k} members of the stack"
        )
    if not bool(((values >= 0) & (values <= at_most) & values.isfinite()).all()):
        raise BadSettings(
            f"{name} is {values.tolist()}, expected a finite number of 0 or more"
            + (f", up to {at_most:g}" if np.isfinite(at_most) else "")
        )
    return values.expand(k)


def _is_shared(tensor: Tensor, example_dims: int, k: int, name: str) -> bool:
    """Whether the members share this tensor, (n, ...), or have one each, (K, n, ...)."""
    if tensor.ndim == example_dims + 1:
        return True
    if tensor.ndim == example_dims + 2 and tensor.shape[0] == k:
        return False
    raise BadSettings(
        f"{name} has shape {tuple(tensor.shape)}, expected {example_dims + 1} dimensions, examples "
        f"first, or {example_dims + 2} with the {k} members of the stack before them: reshape it"
    )


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


def can_show_progress() -> bool:
    """Whether someone is watching: a terminal, or a notebook open in a live front end.

    When nbval, papermill or nbclient execute a notebook, what is written to stderr would end up in
    the page or break a comparison. Only Jupyter's server, VS Code and Colab leave these traces.
    """
    live = "JPY_SESSION_NAME" in os.environ or "VSCODE_PID" in os.environ
    in_kernel = "ipykernel" in sys.modules
    return sys.stderr.isatty() or (in_kernel and (live or "google.colab" in sys.modules))


# --- Modules -----------------------------------------------------------------------------------


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
