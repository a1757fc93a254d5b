"""The networks of the book: a feature map Phi, then multiclass logistic regression on Phi(x).

Every network here is the formula of the first part,

    x^(1) = x,    x^(l+1) = sigma_l(W_l^T x^(l)),    Phi(x) = x^(L+1),

written as a module whose `features(x)` is Phi(x) and whose last layer, `classifier`, is the
logistic regression. The layers W_1, ..., W_L are called `layers.1`, ..., `layers.L`, so that they
can be named, frozen or looked at: `layers.1.weight`, `layers.1.bias`, `classifier.weight`.
A module of `torch.nn.Linear` keeps W_l^T, of shape (outputs, inputs).

A network is made from a `torch.Generator` and from nothing else: the same generator state gives
the same weights, and the global random state is neither read nor changed.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import pairwise
from typing import ClassVar

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from whydeep.errors import BadSettings

Activation = Callable[[Tensor], Tensor]


def identity(x: Tensor) -> Tensor:
    """sigma(x) = x, the activation of a linear network."""
    return x


class Network(nn.Module):
    """What all networks share: logistic regression on Phi(x).

    A subclass sets `layers` (keys "1" to "L"), `classifier` and `features`.
    """

    # How many dimensions one example has: 1 for a vector (d,), 3 for an image (c, h, w).
    example_dims: ClassVar[int] = 1
    # Whether a stack of these is faster in one batched pass than one by one, on a CPU.
    stacks_on_cpu: ClassVar[bool] = True

    layers: nn.ModuleDict
    classifier: nn.Linear

    @property
    def classes(self) -> int:
        """The number of outputs, one a class."""
        return self.classifier.out_features

    def features(self, x: Float[Tensor, "n ..."]) -> Float[Tensor, "n features"]:
        """Phi(x), the input of the last layer."""
        raise NotImplementedError

    def forward(self, x: Float[Tensor, "n ..."]) -> Float[Tensor, "n classes"]:
        """The logits: one number a class, whose softmax gives the probabilities of the labels."""
        return self.classifier(self.features(x))

    @property
    def stacked_features(self) -> Callable[[Mapping[str, Tensor], Tensor], Tensor] | None:
        """Phi of K networks in one pass, from weights (K, ...) and x (n, ...) or (K, n, ...).

        None where there is no shorter way than one network at a time.
        """
        return None


class Dense(Network):
    """Every unit of a layer sees every unit of the layer below.

    `widths` is (inputs, units of layer 1, ..., units of layer L, classes): (784, 10) is logistic
    regression on raw pixels, (784, 256, 10) has one hidden layer. x has shape (n, inputs).
    `activation` is sigma, the same in every layer. `init` and `scale`: see `initialise`.
    """

    def __init__(
        self,
        widths: Sequence[int],
        activation: Activation = torch.relu,
        *,
        generator: torch.Generator,
        init: str = "he",
        scale: float = 1.0,
    ) -> None:
        super().__init__()
        if len(widths) < 2 or min(widths) < 1:
            raise BadSettings(
                f"widths is {tuple(widths)}, expected at least the number of inputs and of "
                f"classes, each 1 or more: for example (784, 256, 10)"
            )
        self.activation = activation
        self.layers = _numbered(_Empty(a, b) for a, b in pairwise(widths[:-1]))
        self.classifier = _Empty(widths[-2], widths[-1])
        gain = 2.0 if activation in (torch.relu, F.relu) else 1.0
        initialise(self, generator, init=init, gain=gain, scale=scale)

    def features(self, x: Float[Tensor, "n inputs"]) -> Float[Tensor, "n features"]:
        for layer in self.layers.values():
            x = self.activation(layer(x))
        return x

    @property
    def stacked_features(self) -> Callable[[Mapping[str, Tensor], Tensor], Tensor] | None:
        """As `Network.stacked_features`; a subclass with `features` of its own has none."""
        return self._stacked if type(self).features is Dense.features else None

    def _stacked(
        self, weights: Mapping[str, Tensor], x: Float[Tensor, "..."]
    ) -> Float[Tensor, "*k n features"]:
        for name in self.layers:
            x = self.activation(affine(weights, f"layers.{name}", x))
        return x


def affine(
    weights: Mapping[str, Tensor], layer: str, x: Float[Tensor, "..."]
) -> Float[Tensor, "k n outputs"]:
    """W^T x + b of K members: weights (K, outputs, inputs) and (K, outputs), x as in `stacked`."""
    w, b = weights[f"{layer}.weight"], weights[f"{layer}.bias"]
    if x.ndim == 3:
        return _Affine.apply(x, w, b)
    return x @ w.mT + b[:, None]


class _Affine(torch.autograd.Function):
    """`torch.baddbmm(b[:, None], x, w.mT)`, whose gradient in w comes in the layout of w.

    PyTorch makes that of w.mT and turns it round, which is slow where there are few outputs.
    """

    @staticmethod
    def forward(context, x, w, b):
        context.save_for_backward(x, w)
        return torch.baddbmm(b[:, None], x, w.mT)

    @staticmethod
    def backward(context, g):
        x, w = context.saved_tensors
        below = g @ w if context.needs_input_grad[0] else None
        return below, g.mT @ x, g.sum(1)


class Linear(Dense):
    """`Dense` without the non-linearities: logistic regression on a product of matrices.

    Linear((784, 10)) is multiclass logistic regression, Linear((784, 256, 10)) computes no other
    functions (its matrices multiply to one), but its loss is no longer convex in its weights.
    """

    def __init__(
        self,
        widths: Sequence[int],
        *,
        generator: torch.Generator,
        init: str = "he",
        scale: float = 1.0,
    ) -> None:
        super().__init__(widths, identity, generator=generator, init=init, scale=scale)


class Convolutional(Network):
    """Convolution, ReLU and 2x2 max-pooling, repeated; then dense layers.

    The columns of W_l are then the translations of a few sparse vectors: `channels[l]` filters of
    `kernel` x `kernel` pixels, padded with zeros so that an image keeps its size until pooled.
    `shape` is one image's (c, h, w); x has shape (n, c, h, w). `widths`: the dense layers' units.
    """

    example_dims = 3
    # Measured with code/benchmarks/stack.py: on a CPU, convolutions batched over members (groups,
    # to PyTorch) run at 0.8 to 1.0 of the speed of the members one after another.
    stacks_on_cpu = False

    def __init__(
        self,
        shape: Sequence[int] = (1, 28, 28),
        channels: Sequence[int] = (16, 32),
        widths: Sequence[int] = (),
        classes: int = 10,
        kernel: int = 5,
        *,
        generator: torch.Generator,
        init: str = "he",
        scale: float = 1.0,
    ) -> None:
        super().__init__()
        c, h, w = shape
        if not channels or min(h, w) < 2 ** len(channels) or kernel % 2 == 0:
            raise BadSettings(
                f"images of {h}x{w}, channels {tuple(channels)} and kernel {kernel}: expected an "
                f"odd kernel and 1 to {int(math.log2(max(1, min(h, w))))} convolutions, as each "
                f"halves the image"
            )
        self.depth = len(channels)
        convolutions = (
            _EmptyConvolution(a, b, kernel, padding=kernel // 2)
            for a, b in pairwise((c, *channels))
        )
        units = channels[-1] * (h >> self.depth) * (w >> self.depth)
        dense = (_Empty(a, b) for a, b in pairwise((units, *widths)))
        self.layers = _numbered([*convolutions, *dense])
        self.classifier = _Empty((units, *widths)[-1], classes)
        initialise(self, generator, init=init, gain=2.0, scale=scale)

    def features(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n features"]:
        layers = list(self.layers.values())
        # The same images, but the channels of a pixel side by side in memory, and so on upwards:
        # on a CPU, PyTorch pools such images several at a time (a whole step takes 2/3 the time).
        x = x.movedim(1, -1).clone(memory_format=torch.contiguous_format).movedim(-1, 1)
        for layer in layers[: self.depth]:
            x = F.max_pool2d(torch.relu(layer(x)), 2)
        x = x.flatten(1)
        for layer in layers[self.depth :]:
            x = torch.relu(layer(x))
        return x


@torch.no_grad()
def initialise(
    network: Network, generator: torch.Generator, *, init: str, gain: float, scale: float = 1.0
) -> None:
    """Draw every weight of the network anew, in the order of its parameters.

    With d the number of inputs of a unit (its fan-in):

    * `he`: weights N(0, gain / d), biases 0. gain = 2 keeps the mean square of the signal through
      a ReLU, which drops half of it (He et al., 2015, eq. 10); gain = 1 is right where nothing is
      dropped (LeCun et al., 1998), and is always used for the classifier.
    * `pytorch`: weights and biases uniform on (-1/sqrt(d), 1/sqrt(d)), as PyTorch does.

    `scale` multiplies the standard deviation of the weights (not the biases).
    Raises `BadSettings` for another `init`.
    """
    if init not in ("he", "pytorch"):
        raise BadSettings(f"init is '{init}', expected 'he' or 'pytorch': correct the name")
    for layer in network.modules():
        if not isinstance(layer, nn.Linear | nn.Conv2d):
            continue
        fan_in = layer.weight[0].numel()
        bound = 1 / math.sqrt(fan_in)
        if init == "he":
            variance = (1.0 if layer is network.classifier else gain) / fan_in
            layer.weight.normal_(0.0, math.sqrt(variance), generator=generator)
            layer.bias.zero_()
        else:
            layer.weight.uniform_(-bound, bound, generator=generator)
            layer.bias.uniform_(-bound, bound, generator=generator)
        layer.weight.mul_(scale)


def _numbered(layers: Iterable[nn.Module]) -> nn.ModuleDict:
    """Layers under the names of the formula, which counts from 1."""
    return nn.ModuleDict({str(number): layer for number, layer in enumerate(layers, start=1)})


class _Empty(nn.Linear):
    """A layer with memory but no values: PyTorch's own draw would move the global generator."""

    def reset_parameters(self) -> None:
        pass


class _EmptyConvolution(nn.Conv2d):
    """The same for a convolution."""

    def reset_parameters(self) -> None:
        pass
