"""What several experiments of this part put on a feature map: a classifier, and a kernel."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from sklearn.linear_model import LogisticRegression
from threadpoolctl import threadpool_limits
from torch import Tensor


def logistic_regression_errors(
    phi: Float[Tensor, "n d"],
    y: Int[Tensor, " n"],
    phi_test: Float[Tensor, "m d"],
    y_test: Int[Tensor, " m"],
    penalty: float,
) -> tuple[float, float]:
    """Training and test error of multiclass logistic regression on standardised features.

    The loss sum_i log-loss_i + penalty/2 |V|^2 is convex, so its minimum does not depend on how it
    is found; scikit-learn finds it with L-BFGS, in float64.
    """
    mean, sd = phi.mean(0), phi.std(0)
    # A feature that hardly varies would be blown up by a division by its spread.
    standard = [((z - mean) / (sd + 1e-3)).double().cpu().numpy() for z in (phi, phi_test)]
    # One thread: the sums, and so the digits, do not depend on the number of cores.
    with threadpool_limits(1):
        fit = LogisticRegression(C=1 / penalty, tol=1e-3, max_iter=1000).fit(standard[0], y.cpu())
        train_score, test_score = (
            float(fit.score(z, labels.cpu()))
            for z, labels in zip(standard, (y, y_test), strict=True)
        )
    return 1 - train_score, 1 - test_score


def gaussian_kernel(
    x: Float[Tensor, "n d"], y: Float[Tensor, "m d"], gamma: float
) -> Float[Tensor, "n m"]:
    """k(x, y) = exp(-gamma |x - y|^2) for every pair of rows."""
    return torch.exp(-gamma * torch.cdist(x, y).square())
