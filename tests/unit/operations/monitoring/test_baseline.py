"""Baselines: what is kept of a window, and files that are not baselines."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from commandline.errors import CommandError, UsageError
from operations.monitoring import baseline as baseline_module
from operations.monitoring.baseline import from_json, sampled, statistics_of, to_json
from operations.monitoring.capture_source import FolderSource
from operations.monitoring.window import Window, read_window
from tests.support.captures import capture, exchanges, write_captures


@pytest.fixture(scope="module")
def window(tmp_path_factory: pytest.TempPathFactory) -> Window:
    folder = write_captures(tmp_path_factory.mktemp("captures"), exchanges(120))
    return read_window(FolderSource(folder), ("bicycle", "motorcycle"))


def test_a_baseline_file_keeps_every_value_as_it_is(window: Window) -> None:
    statistics = statistics_of(window)
    again = from_json(to_json(statistics), "baseline.json")

    assert (again.labels, again.records) == (("bicycle", "motorcycle"), 120)
    assert (again.first, again.last) == (window.times[0], window.times[-1])
    for name, values in window.features().items():
        assert again.features[name].tolist() == sorted(values.tolist()), name


def test_of_a_large_window_a_sample_is_kept(window: Window, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(baseline_module, "SAMPLE_SIZE", 50)
    found, again = sampled(window), sampled(window)
    assert {len(values) for values in found.values()} == {50}
    assert all(np.array_equal(found[name], again[name]) for name in found)
    assert statistics_of(window).records == 120
    # One record's features stay together.
    rows = [window.photos[:, 0].tolist().index(value) for value in found["brightness"]]
    assert window.confidences[rows].round(6).tolist() == found["confidence"].tolist()


def test_unknown_features_are_left_out(tmp_path: Path) -> None:
    record = capture()
    del record["captureData"]["endpointInput"]
    folder = write_captures(tmp_path, [record] * 3)
    found = read_window(FolderSource(folder), ("bicycle", "motorcycle"))
    assert list(statistics_of(found).features) == ["confidence", "probability of bicycle"]


def test_no_records_make_no_baseline(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="no usable records"):
        statistics_of(read_window(FolderSource(tmp_path), ("bicycle", "motorcycle")))


def broken(**changes: Any) -> str:
    good = {
        "format": 1,
        "labels": ["a"],
        "records": 1,
        "first": 0,
        "last": 1,
        "features": {"confidence": [0.5]},
    }
    return json.dumps(good | changes)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "{}",
        broken(format=2),
        broken(features=[]),
        broken(features={"confidence": []}),
        broken(features={"confidence": [0.5, None]}),
        broken(features={"confidence": [[0.5]]}),
        broken(features={"confidence": ["high"]}),
        broken(labels=None),
        broken(records="many"),
    ],
)
def test_another_file_is_refused_by_name(text: str) -> None:
    with pytest.raises(UsageError, match=r"^old\.json is not a baseline file"):
        from_json(text, "old.json")
