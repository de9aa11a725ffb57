"""The pages for people mention only files, commands and options that exist."""

import functools
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from samcli.yamlhelper import yaml_parse  # type: ignore[import-untyped]

from tests.support.pages import PAGES, PLACEHOLDER, anchors, code, links, shell_blocks
from tests.support.sam_app import ROOT, template

PROGRAMS = [
    name for name in ("localcloud", "model_build", "operations") if (ROOT / name / "__main__.py").exists()
]
PROGRAM = re.compile(r"python -m (" + "|".join(PROGRAMS) + r")(?: ([a-z][a-z-]*))?((?: [^|;&#\n]*)?)")
OPTION = re.compile(r"(?<![\w-])--[a-z][a-z-]*")
NOT_OURS = {
    "--config-env", "--endpoint-url", "--parameter-overrides", "--skip-pull-image",
}  # fmt: skip
"""Options of sam and aws that pages mention by themselves."""


@functools.cache
def help_of(program: str, *command: str) -> str:
    """Return what `--help` prints, that of a command's own commands too; fail if there is no such command."""
    done = subprocess.run(
        [sys.executable, "-m", program, *command, "--help"],
        cwd=ROOT,
        env={**os.environ, "COLUMNS": "200"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"python -m {program} {command} --help\n{done.stdout}{done.stderr}"
    listed = done.stdout.partition("ommands:")[2] if command else ""
    below = re.findall(r"^  +([a-z][a-z-]+)  ", listed, re.MULTILINE)
    return "".join([done.stdout, *(help_of(program, *command, name) for name in below)])


@functools.cache
def all_options() -> set[str]:
    """Return the options of all commands of all programs."""
    found = set()
    for program in PROGRAMS:
        listed = help_of(program).partition("ommands:")[2]
        for command in set(re.findall(r"^  +([a-z][a-z-]+)  ", listed, re.MULTILINE)):
            found |= set(OPTION.findall(help_of(program, command)))
    return found


def commands_of(text: str) -> list[tuple[str, str | None, list[str]]]:
    """Return the program, command and options of each call of our programs in a page."""
    found = []
    for piece in code(text):
        for program, command, rest in PROGRAM.findall(piece):
            found.append((program, command or None, OPTION.findall(rest)))
    return found


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_to_a_file_or_heading(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for link in links(text):
        if link.startswith(("https://", "http://")):
            continue
        name, _, anchor = link.partition("#")
        target = page if not name else page.parent / name
        assert target.exists(), f"{page.name} links to {link}, which does not exist"
        if anchor:
            assert anchor in anchors(target.read_text(encoding="utf-8")), f"{page.name}: no heading {link}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_command_and_option_exists(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for program, command, options in commands_of(text):
        known = set(OPTION.findall(help_of(program, *filter(None, [command]))))
        assert set(options) <= known, f"{page.name}: {program} {command} has no {set(options) - known}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_option_mentioned_by_itself_exists(page: Path) -> None:
    mentioned = {piece.split()[0] for piece in code(page.read_text(encoding="utf-8")) if OPTION.match(piece)}
    assert mentioned <= all_options() | NOT_OURS, f"{page.name}: {mentioned - all_options() - NOT_OURS}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_make_target_exists(page: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    text = page.read_text(encoding="utf-8")
    mentioned = {name for piece in code(text) for name in re.findall(r"\bmake ([a-z][a-z-]+)", piece)}
    assert mentioned <= targets, f"{page.name}: make has no {mentioned - targets}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_placeholders_are_outputs_of_our_stacks(page: Path) -> None:
    role = yaml_parse((ROOT / "model_build" / "role.yaml").read_text(encoding="utf-8"))
    outputs = {*template()["Outputs"], *role["Outputs"]}
    blocks = "\n".join(shell_blocks(page.read_text(encoding="utf-8")))
    assert {name for name in PLACEHOLDER.findall(blocks) if name[0].isupper()} <= outputs
