"""events/README.md names the errors and outcomes of events/expected.json."""

import re

import pytest

from tests.support.sam_app import EVENTS, expected

README = (EVENTS / "README.md").read_text(encoding="utf-8")


def line(name: str) -> str:
    """Return the README's expected result of an event."""
    folder, _, file = name.partition("/")
    section = next(part for part in README.split("\n## ") if f"`{folder}/`" in part.partition("\n")[0])
    (result,) = re.findall(rf"^\| `{re.escape(file)}` \|.+\| (.+) \|$", section, re.MULTILINE)
    return str(result)


@pytest.mark.parametrize("name", [name for name, wanted in expected().items() if wanted.get("error")])
def test_the_line_names_the_error(name: str) -> None:
    assert f"`{expected()[name]['error']}`" in line(name)


@pytest.mark.parametrize("name", list(expected("workflow/")))
def test_the_line_names_the_outcome(name: str) -> None:
    wanted = expected()[name]
    assert all(str(word) in line(name) for word in (wanted["outcome"], wanted["label"]) if word)
