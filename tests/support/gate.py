"""A gate that holds up code in another process until the test opens it: no sleep to race against."""

from pathlib import Path


class Gate:
    """Held up is `code`, for at most a minute; the gate is a file, and open while it exists."""

    def __init__(self, path: Path) -> None:
        self._open, self._reached = path.with_suffix(".open"), path.with_suffix(".reached")

    @property
    def code(self) -> str:
        """A line of Python that says that it is reached, and goes on when the gate is open."""
        wait = f"[time.sleep(0.05) for _ in range(1000) if not os.path.exists({str(self._open)!r})]"
        return f"import os, time; open({str(self._reached)!r}, 'w').close(); {wait}"

    def reached(self) -> bool:
        """Whether the code has come to the gate."""
        return self._reached.exists()

    def open(self) -> None:
        """Let the code go on, now and later."""
        self._open.touch()

    def close(self) -> None:
        """Hold up whoever comes."""
        self._open.unlink(missing_ok=True)
