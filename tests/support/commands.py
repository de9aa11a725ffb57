"""Command lines of `operations`, called in this process."""

import json
from typing import Any

import pytest

from operations.__main__ import main


class Scones:
    """Calls a command line and returns its exit code; `out` and `err` are what the last one printed."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys
        self.out = self.err = ""

    def __call__(self, *arguments: str) -> int:
        """Call a command line."""
        self._capsys.readouterr()
        code = main(arguments)
        self.out, self.err = self._capsys.readouterr()
        return code

    @property
    def lines(self) -> list[Any]:
        """The lines of the last standard output, read as JSON."""
        return [json.loads(line) for line in self.out.splitlines()]
