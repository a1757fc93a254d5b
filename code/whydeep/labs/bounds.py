"""Bounds on the error of a classifier, each as a number in the units of an error rate.

Given what was measured on n examples, every function returns a number that the true error exceeds
with probability at most delta. A value of 1 or more is *vacuous*: true, and of no use. The
functions do not cut their values off at 1, so that one sees how far off they are.

    held_out      k errors on m examples that the classifier was not learned from
    pac_bayes     a random classifier, by its divergence from a prior fixed before
    occam         one classifier out of many that have code words, by the length of its word
    vc            the best of a class, by its VC dimension
    by_margin     a class with bounded Rademacher complexity, by the margins of the examples

and `of_sums`, `of_frobenius` and `of_lengths` give that complexity from the sizes of the weights.
"""

from __future__ import annotations

import math

from scipy.optimize import brentq
from scipy.special import xlogy
from scipy.stats import beta

from whydeep.errors import BadSettings


def kl(q: float, p: float) -> float:
    """The divergence in nats of a coin that falls heads with probability q from one with p.

    Infinite where p is 0 or 1 and q is not.
    """
    if (p == 0 and q > 0) or (p == 1 and q < 1):
        return math.inf
    rest = xlogy(1 - q, (1 - q) / (1 - p)) if p < 1 else 0.0
    return float((xlogy(q, q / p) if p > 0 else 0.0) + rest)


def kl_inverse(q: float, c: float) -> float:
    """The largest p with kl(q, p) <= c: what the true rate may be when q was seen.

    Raises BadSettings unless 0 <= q <= 1 and c >= 0.
    """
    if not 0 <= q <= 1 or not c >= 0:
        raise BadSettings(f"a rate of {q} and a divergence of {c}: expected 0 to 1, and 0 or more")
    if q == 1 or c == 0:
        return float(q)
    almost = 1 - 1e-15
    if kl(q, almost) <= c:
        return 1.0
    return float(brentq(lambda p: kl(q, p) - c, q, almost, xtol=1e-13)) if q < almost else 1.0


def held_out(errors: int, m: int, delta: float) -> float:
    """The error with ``errors`` out of ``m`` fresh examples: exact (Clopper and Pearson, 1934).

    It is the p at which so few errors have probability delta: Langford (2005), section 3.
    """
    return 1.0 if errors >= m else float(beta.ppf(1 - delta, errors + 1, m - errors))


def pac_bayes(error: float, divergence: float, n: int, delta: float) -> float:
    """The error of a classifier drawn anew from Q for each example; ``divergence`` is KL(Q || P).

    kl(training error of Q, error of Q) <= (KL(Q || P) + ln(2 sqrt(n) / delta)) / n, for all Q at
    once, if P does not depend on the n examples (Langford and Seeger; the constant is Maurer's).
    """
    return kl_inverse(error, (divergence + math.log(2 * math.sqrt(n) / delta)) / n)


def sampled(error: float, draws: int, delta: float) -> float:
    """The training error of Q, of which ``draws`` classifiers had ``error`` on average.

    Langford and Caruana (2001): kl(mean of the draws, mean) <= ln(2 / delta) / draws.
    """
    return kl_inverse(error, math.log(2 / delta) / draws)


def occam(error: float, nats: float, n: int, delta: float) -> float:
    """The error of a classifier whose code word is ``nats`` long, the code being fixed before.

    Code words without separators satisfy sum exp(-nats) <= 1, so each may fail with probability
    delta exp(-nats) (Langford 2005, section 4, by Chernoff's inequality).
    """
    return kl_inverse(error, (nats - math.log(delta)) / n)


def vc(error: float, dimension: int, n: int, delta: float) -> float:
    """The error of any classifier of a class with this VC ``dimension``.

    error + sqrt(8 / n ln(4 growth(2n) / delta)), where growth(2n) is at most (2 e n / d)^d, and
    2^(2n) for d >= 2n (Vapnik and Chervonenkis 1971; Anthony and Bartlett 1999).
    """
    d = dimension
    growth = 2 * n * math.log(2) if d >= 2 * n else d * math.log(2 * math.e * n / d)
    return error + math.sqrt(8 / n * (growth + math.log(4 / delta)))


def by_margin(below: float, rademacher: float, margin: float, n: int, delta: float) -> float:
    """The error of every f of a class whose empirical Rademacher complexity is ``rademacher``.

    ``below`` is the share of examples with y f(x) < ``margin``. Margin and class are fixed before;
    choosing them afterwards would add to the value (Mohri, Rostamizadeh and Talwalkar, Thm 5.8).
    """
    return below + 2 * rademacher / margin + 3 * math.sqrt(math.log(2 / delta) / (2 * n))


def of_frobenius(product: float, length: float, depth: int, n: int) -> float:
    """The complexity of ReLU networks with ``depth`` matrices and this product of norms.

    ``length`` is the root mean square length of the inputs (Golowich, Rakhlin and Shamir 2018,
    Theorem 1, whose proof has the sum of the squared lengths).
    """
    return product * length * (math.sqrt(2 * math.log(2) * depth) + 1) / math.sqrt(n)


def of_sums(product: float, largest: float, inputs: int, n: int) -> float:
    """The complexity of tanh networks where each unit's weights have a bounded sum of magnitudes.

    ``product`` is that of the bounds over the layers, ``largest`` the root mean square of the input
    that has the largest, ``inputs`` their number. Derived on the page *Bounds, vacuous and not*.
    """
    return product * largest * math.sqrt(2 * math.log(2 * inputs) / n)


def of_lengths(spectral: float, length: float, width: int, n: int, margin: float) -> float:
    """Of ramp losses of networks by R_A ("spectral complexity"); already divided by ``margin``.

    ln N(epsilon) <= (length^2 n) ln(2 W^2) (R_A / (margin epsilon))^2 (Bartlett, Foster and
    Telgarsky 2017, Theorem 3.3), put into Dudley's integral from 1 / sqrt(n) on; W is ``width``.
    """
    root = length * math.sqrt(n) * math.sqrt(math.log(2 * width**2)) * spectral / margin
    return 4 / n + 12 * math.log(n) * root / n
