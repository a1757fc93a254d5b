"""The spherical p-spin glass: the random landscape that networks have been compared with.

A state is a vector sigma of N numbers, the spins, with |sigma|^2 = N. Its energy is a random
polynomial of degree p,

    H(sigma) = N^(-(p-1)/2) sum over i1, ..., ip of J_(i1...ip) sigma_i1 ... sigma_ip,

with independent N(0, 1) couplings J (Auffinger, Ben Arous and Cerny 2013). The energy *per spin*
is H / N; for states whose overlap sigma.tau / N is R, the covariance of H is N R^p.

Everything works on a batch: G glasses (draws of J) and W walkers (states) in each, so that spins
have the shape (G, W, N). All of it is numpy, and in the couplings' precision. p is 2 or 3.

What would refute it: critical points whose Hessian is not a random symmetric matrix moved by
-p times the energy per spin (tests/test_are_networks_spin_glasses.py).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float
from scipy.optimize import brentq

from whydeep.errors import BadSettings

# --- The landscape ------------------------------------------------------------------------------


def draw_couplings(
    p: int,
    n: int,
    glasses: int,
    rng: np.random.Generator,
    dtype: type[np.floating] = np.float64,
) -> Float[np.ndarray, "g n *axes"]:
    """Symmetric couplings S of ``glasses`` landscapes of ``n`` spins, shape (G, N, N[, N]).

    S is the mean of J over all orders of its indices, so that H = N^(-(p-1)/2) S(sigma, ...) is
    the energy with the independent J. Raises BadSettings unless ``p`` is 2 or 3 and ``n`` >= 2.
    """
    if p not in (2, 3) or n < 2:
        raise BadSettings(f"p is {p} and n is {n}: choose p = 2 or 3, and 2 spins or more")
    j = rng.standard_normal((glasses, *[n] * p), dtype=dtype)
    j = (j + j.swapaxes(-1, -2)) / 2
    if p == 3:  # symmetric in the last two: three places for the first index make it so in all
        j = (j + j.swapaxes(1, 2) + j.swapaxes(1, 3)) / 3
    return j


def random_spins(
    glasses: int, walkers: int, n: int, rng: np.random.Generator
) -> Float[np.ndarray, "g w n"]:
    """States drawn uniformly from the sphere |sigma|^2 = N."""
    return on_sphere(rng.standard_normal((glasses, walkers, n)))


def on_sphere(x: Float[np.ndarray, "g w n"]) -> Float[np.ndarray, "g w n"]:
    """The states nearest to x on the sphere |sigma|^2 = N."""
    return x * (math.sqrt(x.shape[-1]) / np.linalg.norm(x, axis=-1, keepdims=True))


def force(
    couplings: Float[np.ndarray, "g n *axes"], spins: Float[np.ndarray, "g w n"]
) -> Float[np.ndarray, "g w n"]:
    """The gradient of H in R^N, p N^(-(p-1)/2) S(sigma, ..., sigma, .), not yet on the sphere."""
    glasses, n = couplings.shape[:2]
    p = couplings.ndim - 1
    products = spins
    if p == 3:
        products = (spins[..., :, None] * spins[..., None, :]).reshape(glasses, -1, n * n)
    return p * n ** (-(p - 1) / 2) * (products @ couplings.reshape(glasses, -1, n))


def energy(
    couplings: Float[np.ndarray, "g n *axes"], spins: Float[np.ndarray, "g w n"]
) -> Float[np.ndarray, "g w"]:
    """The energy per spin, H / N. By Euler's theorem sigma . gradient is p H."""
    p, n = couplings.ndim - 1, couplings.shape[1]
    return (force(couplings, spins) * spins).sum(-1) / (p * n)


def gradient(
    couplings: Float[np.ndarray, "g n *axes"], spins: Float[np.ndarray, "g w n"]
) -> Float[np.ndarray, "g w n"]:
    """The Riemannian gradient of H: what is left of the gradient without its part along sigma."""
    raw = force(couplings, spins)
    return raw - (raw * spins).sum(-1, keepdims=True) / spins.shape[-1] * spins


def tangent_basis(spins: Float[np.ndarray, "g w n"]) -> Float[np.ndarray, "g w n m"]:
    """N - 1 orthonormal columns at a right angle to each state.

    They are the columns but the first of the reflection that takes sigma / |sigma| to -+ the first
    axis (Householder), with the sign that avoids cancellation.
    """
    n = spins.shape[-1]
    v = spins / np.linalg.norm(spins, axis=-1, keepdims=True)
    v[..., 0] += np.where(v[..., 0] < 0, -1, 1)
    v = v / np.linalg.norm(v, axis=-1, keepdims=True)
    return np.eye(n, dtype=spins.dtype)[:, 1:] - 2 * v[..., :, None] * v[..., None, 1:]


def hessian(
    couplings: Float[np.ndarray, "g n *axes"], spins: Float[np.ndarray, "g w n"]
) -> Float[np.ndarray, "g w m m"]:
    """The Riemannian Hessian of H in the basis of `tangent_basis`, of side N - 1.

    That is the Hessian in R^N, restricted to the tangent space, minus p H / N times the identity
    (the sphere curves away). Over the glasses that have a critical point at sigma, it is a random
    symmetric matrix with eigenvalues in +-2 sqrt(p (p - 1)), moved by -p times the energy per spin.
    """
    glasses, n = couplings.shape[:2]
    p = couplings.ndim - 1
    if p == 2:
        ambient = np.broadcast_to(couplings[:, None], (glasses, spins.shape[1], n, n))
    else:
        ambient = (spins @ couplings.reshape(glasses, n, n * n)).reshape(glasses, -1, n, n)
    ambient = p * (p - 1) * n ** (-(p - 1) / 2) * ambient
    basis = tangent_basis(spins)
    shift = p * energy(couplings, spins)[..., None, None] * np.eye(n - 1, dtype=spins.dtype)
    return basis.swapaxes(-1, -2) @ ambient @ basis - shift


# --- Going down ---------------------------------------------------------------------------------


def descend(
    couplings: Float[np.ndarray, "g n *axes"],
    spins: Float[np.ndarray, "g w n"],
    *,
    steps: int,
    rate: float,
    temperature: float | Sequence[float] = 0.0,
    rng: np.random.Generator | None = None,
    record_at: Sequence[int] = (),
) -> tuple[Float[np.ndarray, "g w n"], Float[np.ndarray, "g w records"]]:
    """Projected gradient descent on H, and the energies per spin at the steps of ``record_at``.

    A step is sigma - rate * gradient, put back on the sphere; times are steps times ``rate``. With
    a ``temperature`` T, one number or one for each step, every step adds Gaussian noise of
    variance 2 T rate along each spin (Langevin dynamics); noise comes from ``rng``. The
    steepest curvature near the floor is about 10 for p = 3: keep ``rate`` below 0.2. Runs in the
    couplings' precision. Raises BadSettings for a temperature without ``rng``, or below zero, or
    with another number of entries than steps.
    """
    heat = np.broadcast_to(np.asarray(temperature, dtype=float), np.shape(temperature) or (steps,))
    if len(heat) != steps or (heat < 0).any() or (heat.any() and rng is None):
        raise BadSettings(
            f"temperature has {len(heat)} entries from {heat.min():g} for {steps} steps: give one "
            "number or one a step, none below 0, and a generator for the noise"
        )
    spins = spins.astype(couplings.dtype)
    p, n = couplings.ndim - 1, couplings.shape[1]
    wanted, kept = set(record_at), []
    for step in range(steps + 1):
        raw = force(couplings, spins)
        along = (raw * spins).sum(-1, keepdims=True) / n
        if step in wanted:
            kept.append(along[..., 0] / p)
        if step == steps:
            break
        spins = spins - rate * (raw - along * spins)
        if heat[step]:
            noise = rng.standard_normal(spins.shape, dtype=spins.dtype)
            spins = spins + math.sqrt(2 * heat[step] * rate) * noise
        spins = on_sphere(spins)
    energies = np.stack(kept, -1) if kept else np.empty((*spins.shape[:2], 0), spins.dtype)
    return spins, energies


# --- What theory says, for N without end --------------------------------------------------------


def threshold(p: int) -> float:
    """-E_infinity = -2 sqrt((p - 1) / p): below it, almost all critical points are minima.

    At this energy per spin the lower edge of the Hessian's eigenvalues touches zero.
    """
    return -2 * math.sqrt((p - 1) / p)


def complexity(u: float, p: int, index: int = 0) -> float:
    """log of the expected number of critical points of an ``index`` below N u, per spin.

    For N without end (Auffinger, Ben Arous and Cerny 2013). Beyond the `threshold` it no longer
    grows with u. ``index`` counts the negative eigenvalues of the Hessian. By the formula of Kac
    and Rice it is the logarithm of E|det| at a critical point, plus that of the chance of the
    energy, minus the cost ``rate`` of pulling index + 1 eigenvalues out of the semicircle.
    """
    edge = -threshold(p)
    u = min(u, -edge)
    root = math.sqrt(max(u * u - edge * edge, 0.0))
    rate = -u / edge**2 * root - math.log(-u + root) + math.log(edge)
    return math.log(p - 1) / 2 - (p - 2) / (4 * (p - 1)) * u * u - (index + 1) * rate


def floor_of_index(p: int, index: int = 0) -> float:
    """-E_k: the energy per spin below which no critical point of ``index`` k or more is expected.

    For k = 0 it is the ground state, about -1.657 for p = 3. The -E_k rise to the `threshold` as
    k grows. For p = 2 all are the threshold, -sqrt(2).
    """
    edge = threshold(p)
    if p == 2:
        return edge
    return float(brentq(lambda u: complexity(u, p, index), 2 * edge, edge))


def index_fraction(energies: Float[np.ndarray, "*shape"], p: int) -> Float[np.ndarray, "*shape"]:
    """The share of negative eigenvalues at a critical point of each energy per spin.

    Wigner's semicircle of radius 2 sqrt(p (p - 1)), moved by -p times the energy.
    """
    x = np.clip(np.asarray(energies) * p / (2 * math.sqrt(p * (p - 1))), -1, 1)
    return 0.5 + (x * np.sqrt(1 - x * x) + np.arcsin(x)) / math.pi
