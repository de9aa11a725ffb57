"""Fine-tuning: the schedule and the averaging of weights."""

import pytest
import torch

from model_build.training.fit import Schedule, blend
from model_build.training.network import Network, pretrained_weights


def test_blending_interpolates_towards_the_pretrained_weights() -> None:
    pretrained = Network(3, 12)
    pretrained.load_pretrained(pretrained_weights())
    network = Network(3, 12)
    network.load_pretrained(pretrained_weights())
    start = next(pretrained.tail.parameters())
    with torch.no_grad():
        next(network.tail.parameters()).add_(1.0)
    blend(network, 0.75)
    torch.testing.assert_close(next(network.tail.parameters()), start + 0.25)


def test_the_learning_rate_rises_linearly_and_decays_to_zero() -> None:
    schedule = Schedule(total_steps=100, warmup=0.2)
    assert schedule.rate(0.0) == 0.01
    assert schedule.rate(0.1) == pytest.approx(0.5)
    assert schedule.rate(0.2) == pytest.approx(1.0)
    assert schedule.rate(0.6) == pytest.approx(0.5)
    assert schedule.rate(1.0) == pytest.approx(0.0, abs=1e-6)


def test_progress_is_by_steps_or_by_time_whichever_is_further(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.monotonic", lambda: 1030.0)
    schedule = Schedule(total_steps=10, warmup=0.1, time_budget=100, steps=2, started=1000.0)
    assert schedule.progress == pytest.approx(0.3)
    schedule.steps = 5
    assert schedule.progress == pytest.approx(0.5)
    schedule.started = 0.0
    assert schedule.progress == 1.0
