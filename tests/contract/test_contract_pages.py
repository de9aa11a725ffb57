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
NOT_OURS = {
    "--config-env", "--endpoint-url", "--parameter-overrides", "--skip-pull-image",
}  # fmt: skip
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


def calls(text: str) -> Iterator[tuple[click.Command, set[str]]]:
    """Yield the command and the options of each call of our programs in a page."""
    for piece in code(text):
        for name, words, rest in PROGRAM.findall(piece):
            yield find([*PROGRAMS[name], *words.split()]), set(OPTION.findall(rest))


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
    for command, options in calls(text):
        known = options_of(command)
        assert options <= known, f"{page.name}: {command.name} has no {options - known}"


@pytest.mark.parametrize(
    "page",
    [page for page in PAGES if page.name != "CHANGELOG.md"],  # which names what is gone
    ids=lambda page: str(page.relative_to(ROOT)),
)
def test_every_option_mentioned_by_itself_exists(page: Path) -> None:
    mentioned = {piece.split()[0] for piece in code(page.read_text(encoding="utf-8")) if OPTION.match(piece)}
    assert mentioned <= options_of(program) | NOT_OURS, f"{page.name}: {mentioned - options_of(program)}"


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


PLACES_OF_A_FUNCTION = (
    "template.yaml",
    "statemachine",
    "localcloud",
    "operations",
    "model_build",
    "commandline",
)


def test_the_page_names_every_place_of_a_function() -> None:
    page = section(ROOT / "docs" / "development.md", "### Add a function")
    files = [
        file for place in PLACES_OF_A_FUNCTION for file in ((ROOT / place), *(ROOT / place).rglob("*.*"))
    ]
    places = {
        str(file.relative_to(ROOT))
        for file in files
        if file.is_file()
        and file.suffix in {".py", ".yaml", ".json", ".j2"}
        and "FilterInference" in file.read_text()
    }
    assert places == {
        file for file in re.findall(r"`([\w./]+\.(?:py|yaml|json|j2))`", page) if (ROOT / file).exists()
    } - {
        "events/expected.json",
        "tests/support/sam_app.py",
        "tests/contract/test_contract_roles.py",
    }
    resources = template()["Resources"]
    used = {
        name for name, one in resources.items() if "FilterInferenceFunction" in json.dumps(one, default=str)
    }
    assert [name for name in used if f"`{name}`" not in page] == []
