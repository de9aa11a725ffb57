"""The head's fit, against an independent solver."""

import numpy as np
import pytest
from scipy.optimize import minimize

from model_build.evaluation.metrics import Floats
from model_build.learning.head import fit, log_losses, softmax


def data(seed: int) -> tuple[Floats, np.ndarray, Floats, Floats]:
    random = np.random.default_rng(seed)
    rows = random.normal(size=(120, 7))
    classes = (rows[:, :3] + random.normal(size=(120, 3))).argmax(axis=1)
    design = np.concatenate([rows, np.ones((120, 1))], axis=1)
    return design, classes, random.normal(size=(120, 3)), random.uniform(0.2, 1, 120)


@pytest.mark.parametrize("penalty", [0.5, 20.0, 1000.0, 1e9])
def test_the_fit_minimises_the_penalised_loss(penalty: float) -> None:
    design, classes, offset, weight = data(0)
    target = np.eye(3)[classes]
    ridge = np.array([penalty] * 7 + [1e-6])

    def objective(flat: Floats) -> tuple[float, Floats]:
        weights = flat.reshape(8, 3)
        shares = softmax(offset + design @ weights)
        loss = (
            -(weight * np.log((shares * target).sum(axis=1))).sum() + (ridge[:, None] * weights**2).sum() / 2
        )
        gradient = design.T @ (weight[:, None] * (shares - target)) + ridge[:, None] * weights
        return float(loss), gradient.ravel()

    expected = minimize(
        objective, np.zeros(24), jac=True, method="L-BFGS-B", options={"ftol": 1e-14, "maxiter": 5000}
    )
    actual = fit(design, classes, offset, weight, penalty)
    assert softmax(offset + design @ actual) == pytest.approx(
        softmax(offset + design @ expected.x.reshape(8, 3)), abs=2e-3
    )


def test_the_loss_of_certain_right_answers_is_none() -> None:
    assert log_losses(np.array([[50.0, 0.0], [0.0, 50.0]]), np.array([0, 1])) == pytest.approx(0)
