"""The head: multinomial logistic regression on the features of pretrained networks, with an offset.

The offset is what the experts say already (`expert_logits` of serving/inference.py), so that a head of no
weights is the model that it started from, and the penalty shrinks towards it; it is zero where the labels
have no meaning for the experts. scikit-learn's `LogisticRegression`, whose result this is for an offset of
zero, takes none.
"""

from typing import Final

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

STEPS: Final = 300
TOLERANCE: Final = 1e-4  # of the largest change of a weight in a step, features having unit variance


def softmax(logits: Floats) -> Floats:
    """Return probabilities [N, K] of logits [N, K]."""
    shares = np.exp(logits - logits.max(axis=1, keepdims=True))
    result: Floats = shares / shares.sum(axis=1, keepdims=True)
    return result


def fit(
    design: Floats, classes: npt.NDArray[np.int64], offset: Floats, weight: Floats, penalty: float
) -> Floats:
    """Return the weights [D + 1, K] that minimise the penalised log loss.

    Each step solves with the bound of the Hessian by Böhning (https://doi.org/10.1007/BF00048682), which is
    factored once and lets the loss only fall.

    Args:
        design: scaled features with a column of ones, [N, D + 1]; the ones' weights are not penalised.
        classes: int [N], below K.
        offset: logits to start from, [N, K].
        weight: of each row in the loss, [N].
        penalty: half of it times the squared weights is added to the summed loss.
    """
    target = np.eye(offset.shape[1])[classes]
    ridge = np.full(design.shape[1], penalty)
    ridge[-1] = 1e-6
    bound = np.linalg.inv((design * weight[:, None]).T @ design / 2 + np.diag(ridge))
    weights = np.zeros((design.shape[1], offset.shape[1]))
    momentum, previous = 1.0, weights
    for _ in range(STEPS):
        faster = (1 + np.sqrt(1 + 4 * momentum**2)) / 2  # Nesterov's: https://doi.org/10.1137/080716542
        ahead = weights + (momentum - 1) / faster * (weights - previous)
        rest = weight[:, None] * (target - softmax(offset + design @ ahead))
        previous, weights = weights, ahead + bound @ (design.T @ rest - ridge[:, None] * ahead)
        momentum = faster
        if np.abs(weights - previous).max() < TOLERANCE:
            break
    return weights
