"""The page: complete, of one piece, bounded in size, and safe with hostile names."""

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from operations.report.captures import Window
from operations.report.drift import detect_drift, sampled, statistics_of
from operations.report.figures import History, Report, read_history
from operations.report.page import render
from operations.results import Record
from tests.support.captures import LABELS, START, exchanges, window_of
from tests.support.html_tags import Page

NOW = datetime(2026, 11, 9, tzinfo=UTC)
COMMAND = ("scones", "report", "--captures", "a folder/it's")


@pytest.fixture(scope="module")
def usual(tmp_path_factory: pytest.TempPathFactory) -> Window:
    return window_of(tmp_path_factory.mktemp("usual"), exchanges(150))


@pytest.fixture(scope="module")
def dark(tmp_path_factory: pytest.TempPathFactory) -> Window:
    return window_of(tmp_path_factory.mktemp("dark"), exchanges(150, level=60))


def history(count: int = 200) -> History:
    outcomes = ("ACCEPTED", "ACCEPTED", "LOW_CONFIDENCE", "REJECTED")
    records = []
    for number in range(count):
        start = START + timedelta(hours=number)
        end = (start + timedelta(seconds=1 + number % 3)).isoformat()
        answer = (outcomes[number % 4], LABELS[number % 2], 0.9)
        records.append(Record("s3://b/a", "v1", *answer, started_at=start.isoformat(), recorded_at=end))
    return read_history(records, LABELS)


def report(window: Window | None, **more: object) -> Report:
    parts = {"history": None, "drift": None, "threshold": 0.85, "labels": LABELS, "command": COMMAND}
    return Report(window=window, **(parts | more))  # type: ignore[arg-type]


def compared(window: Window, baseline: Window) -> Report:
    return report(window, drift=detect_drift(statistics_of(baseline), LABELS, sampled(window)))


def headings(page: str) -> list[str]:
    return re.findall("<h2[^>]*>(.*?)</h2>", page)


def test_captures_alone_make_a_whole_page(usual: Window) -> None:
    page = render(report(usual), NOW)
    tags = Page(page)
    assert tags.open == []
    assert headings(page) == [
        *("What to do next", "Confidence over time", "Outcomes by hour"),
        *("Answers by class", "Least confident", "Most confident"),
    ]
    assert tags.count("img") == 24
    assert "--captures &#39;a folder/it&#39;&#34;&#39;&#34;&#39;s&#39; --write-baseline baseline.json" in page


def test_photos_that_the_results_table_knows_carry_their_keys(usual: Window) -> None:
    made = report(usual)
    row = made.by_confidence()[0]
    page = render(replace(made, keys={row: "incoming/<b>.jpg"}), NOW)
    assert "<code>incoming/&lt;b&gt;.jpg</code>" in page
    assert "scones show KEY" in page
    assert "scones show KEY" not in render(made, NOW)


def test_nothing_is_loaded_and_no_script_is_run(dark: Window, usual: Window) -> None:
    page = render(replace(compared(dark, usual), history=history()), NOW)
    tags = Page(page)
    assert len(tags.values("id")) == len(set(tags.values("id"))) > 20
    assert [name for name in ("script", "link", "iframe", "object") if tags.count(name)] == []
    assert all(one.startswith("data:image/jpeg;base64,") for one in tags.values("src", "href", "data"))
    assert "default-src &#39;none&#39;" in page or "default-src 'none'" in page
    names = ("http-equiv", "http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink")
    assert "http" not in re.sub("|".join(names), "", page)


def test_drift_is_told_in_words_with_its_photos_and_what_to_do(dark: Window, usual: Window) -> None:
    made = compared(dark, usual)
    page = render(made, NOW)
    assert made.headline() == "Drift: photos are darker, and 1 more change"
    assert f"<h2>{made.headline()}</h2>" in page
    assert "Photos are darker (" in page
    assert page.count('class="feature drifted"') == 2
    assert "scones model learn --from-desk" in page
    assert Page(page).count("img") == 24 + 2 * 6
    shown = dark.photos[made.responsible(made.drifted[0]), 0].tolist()
    assert shown == sorted(dark.photos[:, 0].tolist())[:6]


def test_photos_like_the_baselines_are_no_drift(usual: Window) -> None:
    made = compared(usual, usual)
    page = render(made, NOW)
    assert made.headline() == "No drift"
    assert '<div class="verdict good">' in page
    assert "What to do next" not in page


def test_the_results_table_alone_makes_a_page() -> None:
    page = render(report(None, history=history()), NOW)
    assert Page(page).open == []
    assert headings(page) == ["Confidence over time", "Outcomes by day", "Time to outcome"]
    assert "2.00 s" in page


def test_damage_is_shown_and_hostile_names_are_text(tmp_path: Path) -> None:
    folder = tmp_path / "<script>alert(1)</script>\x1b[2J"
    folder.mkdir(parents=True)
    (folder / '"><img src=x onerror=alert(1)>\x1b]0;.jsonl').write_text("}\n")
    page = render(report(window_of(folder, [*exchanges(3), "{"])), NOW)
    tags = Page(page)
    assert tags.count("script") == 0
    assert all(source.startswith("data:") for source in tags.values("src", "href", "data"))
    assert "Damaged records" in headings(page)
    assert "not a JSON object (cut off?)</td><td>2</td>" in page
    assert "onerror=alert(1)&gt;\\x1b]0;.jsonl line 1" in page
    assert "\x1b" not in page


def test_a_photo_that_is_gone_leaves_a_gap(tmp_path: Path) -> None:
    window = window_of(tmp_path, exchanges(5))
    for path in tmp_path.rglob("*.jsonl"):
        path.unlink()
    page = render(report(window), NOW)
    assert page.count('<span class="empty">') == 10
    assert Page(page).open == []


def test_a_hundred_thousand_records_stay_within_the_size(usual: Window) -> None:
    random = np.random.default_rng(0)
    rows = np.sort(random.integers(0, len(usual), 100_000))
    confidence = random.uniform(0.5, 1, len(rows))  # the worst case: dots everywhere
    bicycle = np.where(random.random(len(rows)) < 0.5, confidence, 1 - confidence)
    window = replace(
        usual,
        times=np.sort(random.uniform(0, 90 * 86_400, len(rows))) + START.timestamp(),
        probabilities=np.column_stack([bicycle, 1 - bicycle]),
        photos=usual.photos[rows],
        places=usual.places[rows],
    )
    assert len(render(replace(compared(window, usual), history=history(2000)), NOW)) < 1_500_000


def test_figures_are_ready_for_json(usual: Window) -> None:
    figures = report(usual, history=history()).as_json()
    assert figures["captures"]["records"] == 150
    assert figures["outcomes"] == {"ACCEPTED": 100, "LOW_CONFIDENCE": 50, "REJECTED": 50, "FAILED": 0}
    assert figures["latency_s"] == {"p50": 2.0, "p95": 3.0, "p99": 3.0}
    assert figures["from"] == "2026-11-02T08:00:00Z"
    classes = figures["captures"]["classes"]
    assert sum(row["answers"] for row in classes) == 150
    least = [record["confidence"] for record in figures["captures"]["least_confident"]]
    most = [record["confidence"] for record in figures["captures"]["most_confident"]]
    confidences = sorted(usual.confidences.round(6).tolist())
    assert (least, most) == (confidences[:12], confidences[:-13:-1])


def test_three_classes_have_three_colours(tmp_path: Path) -> None:
    answers = [[0.5, 0.3, 0.2], [0.1, 0.8, 0.1], [0.2, 0.2, 0.6]]
    records = exchanges(3)
    for record, answer in zip(records, answers, strict=True):
        record["captureData"]["endpointOutput"]["data"] = str(answer)
    labels = ("bicycle", "motorcycle", "van")
    page = render(report(window_of(tmp_path, records, labels), labels=labels), NOW)
    assert Page(page).open == []
    assert {f"stroke: var(--class-{number})" in page for number in range(3)} == {True}
