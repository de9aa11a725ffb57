"""The pages for people: their shell blocks, links, and the commands they mention."""

import os
import pty
import re
import shutil
import subprocess
import sys
import tempfile
import termios
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Final, Self

from localcloud.environment import isolated_environment
from tests.support.sam_app import ROOT

PAGES: Final = (
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    ROOT / "CHANGELOG.md",
    ROOT / "events" / "README.md",
    *sorted((ROOT / "docs").glob("*.md")),
)
PLACEHOLDER: Final = re.compile(r"<([A-Za-z]\w*)>")
_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"(?<!\!)\[[^\]]*\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#+ (.*)$", re.MULTILINE)


def section(page: Path, heading: str) -> str:
    """Return the text below a heading, up to the next one of its level or above; fail if there is none."""
    level = len(heading.split(maxsplit=1)[0])
    text = page.read_text(encoding="utf-8")
    assert f"\n{heading}\n" in f"\n{text}", f"{page.name} has no heading {heading!r}"
    return re.split(rf"^#{{1,{level}}} ", text.partition(f"{heading}\n")[2], maxsplit=1, flags=re.MULTILINE)[
        0
    ]


def shell_blocks(text: str) -> list[str]:
    """Return the text of each block that is marked `sh`."""
    return [block for language, block in _FENCE.findall(text) if language == "sh"]


def prose(text: str) -> str:
    """Return a page without its blocks."""
    return _FENCE.sub("", text)


def code(text: str) -> list[str]:
    """Return every piece of code: shell blocks and inline code, with continued lines joined."""
    inline = re.findall(r"`([^`]+)`", prose(text))
    return [re.sub(r"\\\n\s*", " ", piece) for piece in [*shell_blocks(text), *inline]]


def links(text: str) -> list[str]:
    """Return the target of each link."""
    return _LINK.findall(prose(text))


def anchors(text: str) -> set[str]:
    """Return the anchors of a page's headings, as GitHub makes them."""
    kept = (re.sub(r"[^\w\- ]", "", heading.lower()) for heading in _HEADING.findall(_FENCE.sub("", text)))
    return {heading.replace(" ", "-") for heading in kept}


class Shell:
    """A shell into which blocks are typed as a reader types them; every question is answered with yes."""

    def __init__(self, folder: Path, variables: Mapping[str, str]) -> None:
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the shell
        self._terminal, questions = pty.openpty()  # some commands ask on a terminal only
        settings = termios.tcgetattr(questions)
        settings[3] &= ~termios.ECHO
        termios.tcsetattr(questions, termios.TCSANOW, settings)
        script, keyboard = os.pipe()
        self._process = subprocess.Popen(
            ["bash", "-euo", "pipefail", f"/dev/fd/{script}"],
            cwd=folder,
            env=dict(variables),
            stdin=questions,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            pass_fds=[script],
        )
        os.close(script)
        os.close(questions)
        self._keyboard = os.fdopen(keyboard, "w", buffering=1)

    def __enter__(self) -> Self:
        """Return the shell."""
        return self

    def __exit__(self, *_: object) -> None:
        """End the shell."""
        self._keyboard.close()
        self._process.wait(60)
        os.close(self._terminal)
        self._errors.close()

    def type(self, block: str) -> str:
        """Run a block and return what it wrote to standard output; AssertionError if it failed."""
        marker = f"end of block {uuid.uuid4()}"
        os.write(self._terminal, b"y\n" * 4)
        self._keyboard.write(f"{block}\necho '{marker}'\n")
        assert self._process.stdout is not None
        said = ""
        for line in iter(self._process.stdout.readline, b""):
            said += line.decode(errors="replace")
            if said.endswith(f"{marker}\n"):
                return said.removesuffix(f"{marker}\n")
        self._errors.seek(0)
        raise AssertionError(
            f"{block}\n{said[-3000:]}\n{self._errors.read().decode(errors='replace')[-4000:]}"
        )


def fill_in(block: str, values: Mapping[str, str]) -> str:
    """Return a block with its placeholders, such as `<RoleArn>`, replaced; KeyError if one has no value."""
    return PLACEHOLDER.sub(lambda found: values[found.group(1)], block)


def copy_checkout(folder: Path) -> Path:
    """Copy the project's files to a new folder and link its environments: a page has no side effects then."""
    listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    for name in subprocess.run(listed, cwd=ROOT, capture_output=True, check=True).stdout.decode().split("\0"):
        if name and (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    # Made here, not in the copy: an environment's programs remember the folder in which they were made.
    subprocess.run(["make", ".venv/run/.made"], cwd=ROOT, check=True)
    (folder / ".venv").symlink_to(ROOT / ".venv")
    (folder / "build").mkdir()
    for cache in ("serving-packages", "wheels"):  # named by digests, and downloaded once
        (ROOT / "build" / cache).mkdir(parents=True, exist_ok=True)
        (folder / "build" / cache).symlink_to(ROOT / "build" / cache)
    return folder


def environment() -> dict[str, str]:
    """Return a new shell's environment: an AWS CLI on the PATH, nothing of an account or of `make`."""
    inherited = isolated_environment(None)
    for name in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS"):
        inherited.pop(name, None)
    return inherited | {"PATH": os.pathsep.join([inherited["PATH"], str(Path(sys.executable).parent)])}
