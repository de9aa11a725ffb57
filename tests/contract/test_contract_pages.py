"""The pages for people mention only files, commands and options that exist."""

import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import click
import pytest
from samcli.yamlhelper import yaml_parse  # type: ignore[import-untyped]

from commandline.scones import program
from tests.support.pages import PAGES, PLACEHOLDER, anchors, code, links, section, shell_blocks
from tests.support.sam_app import ROOT, template

PROGRAMS = {
    "scones": (),
    "python -m operations": (),
    "python -m model_build": ("model",),
    "python -m localcloud": ("local",),
}
"""How a program is called, and where its commands stand below `scones`."""
_BEFORE = r"(?:^|[;(|&]) *(?:\S*/)?(?:[A-Z_]+=\S+ )?"
PROGRAM = re.compile(rf"{_BEFORE}({'|'.join(PROGRAMS)})((?: +[a-z][a-z-]*)*)((?: [^|;&#\n]*)?)", re.MULTILINE)
OPTION = re.compile(r"(?<![\w-])--[a-z][a-z-]*")
NOT_OURS = {"--config-env", "--endpoint-url", "--parameter-overrides", "--skip-pull-image"}
"""Options of sam and aws that pages mention by themselves."""


def options_of(command: click.Command) -> set[str]:
    """Return the options of a command, those of a group's commands too."""
    own = {option for one in command.params for option in (*one.opts, *one.secondary_opts)}
    return {"--help", *own}.union(*(options_of(one) for one in commands_of(command).values()))


def commands_of(command: click.Command) -> dict[str, click.Command]:
    """Return a group's commands by name; nothing for another command."""
    if not isinstance(command, click.Group):
        return {}
    context = click.Context(command)
    names = [*getattr(command, "lazy", command.list_commands(context))]
    return {name: found for name in names if (found := command.get_command(context, name))}


def find(words: Sequence[str]) -> click.Command:
    """Return the command that the first of some words name; fail if the first names none."""
    command: click.Command = program
    for word in words:
        below = commands_of(command)
        if not below:
            break
        assert word in below, f"{command.name} has no command {word}"
        command = below[word]
    return command


def leaves(command: click.Command, *names: str) -> Iterator[tuple[str, click.Command]]:
    """Yield every command below one that does something itself, by its whole name."""
    below = commands_of(command)
    if not below:
        yield " ".join(names), command
    for name, one in below.items():
        yield from leaves(one, *names, name)


@pytest.mark.parametrize(("name", "command"), list(leaves(program)))
def test_every_help_has_an_example_on_a_line_of_its_own(name: str, command: click.Command) -> None:
    shown = command.get_help(click.Context(command, info_name=name))
    assert re.search(rf"Example:\n +scones {name.replace('train-sagemaker', 'train-cloud')}", shown), shown
    assert "\\b" not in shown


each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))


@each_page
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


@each_page
def test_every_command_option_and_make_target_exists(page: Path) -> None:
    pieces = list(code(page.read_text(encoding="utf-8")))
    for name, words, rest in (call for piece in pieces for call in PROGRAM.findall(piece)):
        command = find([*PROGRAMS[name], *words.split()])
        unknown = {*OPTION.findall(rest)} - options_of(command)
        assert not unknown, f"{page.name}: {command.name} has no {unknown}"
    alone = {piece.split()[0] for piece in pieces if OPTION.match(piece)} - options_of(program) - NOT_OURS
    assert not alone or page.name == "CHANGELOG.md", f"{page.name}: {alone}"  # which names what is gone
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    mentioned = {name for piece in pieces for name in re.findall(r"\bmake ([a-z][a-z-]+)", piece)}
    assert mentioned <= targets, f"{page.name}: make has no {mentioned - targets}"


@each_page
def test_placeholders_are_outputs_of_our_stacks(page: Path) -> None:
    role = yaml_parse((ROOT / "model_build" / "role.yaml").read_text(encoding="utf-8"))
    outputs = {*template()["Outputs"], *role["Outputs"]}
    blocks = "\n".join(shell_blocks(page.read_text(encoding="utf-8")))
    assert {name for name in PLACEHOLDER.findall(blocks) if name[0].isupper()} <= outputs


PLACES_OF_A_FUNCTION = ("statemachine", "localcloud", "operations", "model_build", "commandline")
BESIDE = {"events/expected.json", "tests/support/sam_app.py", "tests/contract/test_contract_roles.py"}


def test_the_page_names_every_place_of_a_function() -> None:
    page = section(ROOT / "docs" / "development.md", "### Add a function")
    files = [ROOT / "template.yaml", *(one for f in PLACES_OF_A_FUNCTION for one in (ROOT / f).rglob("*.*"))]
    texts = [file for file in files if file.suffix in {".py", ".yaml", ".json", ".j2"}]
    places = {str(file.relative_to(ROOT)) for file in texts if "FilterInference" in file.read_text()}
    named = re.findall(r"`([\w./]+\.(?:py|yaml|json|j2))`", page)
    assert places == {file for file in named if (ROOT / file).exists()} - BESIDE
    resources = template()["Resources"].items()
    used = [name for name, one in resources if "FilterInferenceFunction" in json.dumps(one, default=str)]
    assert [name for name in used if f"`{name}`" not in page] == []
