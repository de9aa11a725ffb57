"""The lines of events/README.md say what events/expected.json promises: which error, which outcome."""

import re

import pytest

from tests.support.sam_app import EVENTS, expected

README = (EVENTS / "README.md").read_text(encoding="utf-8")


def line(name: str) -> str:
    """What the README expects of an event."""
    folder, _, file = name.partition("/")
    section = next(part for part in README.split("\n## ") if f"`{folder}/`" in part.partition("\n")[0])
    (said,) = re.findall(rf"^\| `{re.escape(file)}` \|.+\| (.+) \|$", section, re.MULTILINE)
    return str(said)


@pytest.mark.parametrize("name", [name for name, promised in expected().items() if promised.get("error")])
def test_the_line_names_the_error(name: str) -> None:
    assert f"`{expected()[name]['error']}`" in line(name)


@pytest.mark.parametrize("name", list(expected("workflow/")))
def test_the_line_names_the_outcome(name: str) -> None:
    promised = expected()[name]
    assert all(str(word) in line(name) for word in (promised["outcome"], promised["label"]) if word)
