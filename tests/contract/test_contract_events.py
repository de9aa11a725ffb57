"""The sample events, their expected results, their README and the sample photos agree."""

import re
from typing import Any

import pytest

from model_build.data import samples
from tests.support.sam_app import EVENTS, FOLDERS, constant, event, expected, parameter_default

SAMPLES = "incoming/samples/"
README = (EVENTS / "README.md").read_text(encoding="utf-8")
LISTED = {
    f"{folder}/{name}": result
    for section in re.split(r"^## ", README, flags=re.MULTILINE)[1:]
    for folder in re.findall(r"`(\w+)/`", section.partition("\n")[0])
    for name, result in re.findall(r"^\| `(\S+\.json)` \|.+\| (.+) \|$", section, re.MULTILINE)
}
"""The README's expected result of each event."""


def test_every_event_has_an_expected_result_and_a_line_in_the_readme() -> None:
    files = {path.relative_to(EVENTS).as_posix() for path in EVENTS.glob("*/*.json")}
    assert files == set(expected())
    assert set(LISTED) == files


@pytest.mark.parametrize("name", expected())
def test_the_readme_names_the_error_and_the_outcome(name: str) -> None:
    wanted, words = expected()[name], []
    if wanted.get("error"):
        words.append(f"`{wanted['error']}`")
    if name.startswith("workflow/"):
        words += [str(word) for word in (wanted["outcome"], wanted["label"]) if word]
    assert [word for word in words if word not in LISTED[name]] == []


def named_photo(name: str) -> str | None:
    """Return the sample photo that an event names, or None."""
    payload: Any = event(name)
    detail = payload.get("detail")
    key = detail["object"]["key"] if detail else payload.get("s3_key")
    return key.removeprefix(SAMPLES) if isinstance(key, str) and key.startswith(SAMPLES) else None


@pytest.mark.parametrize(
    "name", [name for folder in (*FOLDERS, "workflow") for name in expected(f"{folder}/")]
)
def test_events_name_existing_sample_photos(name: str) -> None:
    photo = named_photo(name)
    if name.endswith(("no_key.json", "key_is_no_text.json")):
        assert photo is None
    else:
        assert (photo in samples.SAMPLES) is (not name.endswith("missing_object.json"))


def test_the_sample_that_is_too_large_is_one_byte_too_large() -> None:
    assert constant("Photo", "MaxObjectBytes") + 1 == samples.TOO_MANY_BYTES


def test_the_events_use_the_templates_threshold() -> None:
    # filter_inference/exactly_at_threshold.json and the events around it contain its value.
    assert parameter_default("ConfidenceThreshold") == "0.85"
    assert max(event("filter_inference/exactly_at_threshold.json")["inferences"]) == 0.85
