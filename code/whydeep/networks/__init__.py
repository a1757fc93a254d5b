"""The networks of the book; `plain` holds the formula of the first part."""

from whydeep.networks.plain import (
    Activation,
    Convolutional,
    Dense,
    Linear,
    Network,
    identity,
    initialise,
)

__all__ = ["Activation", "Convolutional", "Dense", "Linear", "Network", "identity", "initialise"]
