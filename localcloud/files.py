"""Writing files so that no reader sees half of one."""

from pathlib import Path


def replace_text(path: Path, text: str) -> None:
    """Write a text file in one step; a reader sees the old content or the new."""
    new = path.with_suffix(path.suffix + ".new")
    new.write_text(text, encoding="utf-8")
    new.replace(path)
