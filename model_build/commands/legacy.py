"""Temporary: click commands that run the modules which still declare their options with argparse."""

import argparse
import importlib
from typing import Any

import click

MODULES = {
    "evaluate": "evaluation.report",
    "predict": "commands.predict",
    "card": "evaluation.model_card",
}


class _HelpFormatter(argparse.RawDescriptionHelpFormatter, argparse.ArgumentDefaultsHelpFormatter):
    """Keeps a description's paragraphs and shows each option's default, where it has one."""

    def _get_help_string(self, action: argparse.Action) -> str | None:
        nothing = action.default is None or action.default is False or action.default == []
        return action.help if nothing else super()._get_help_string(action)


def __getattr__(name: str) -> click.Command:
    if name not in MODULES:
        raise AttributeError(name)
    module = importlib.import_module(f"model_build.{MODULES[name]}")
    command = name.replace("_", "-")

    def call(arguments: tuple[str, ...]) -> int:
        parser = argparse.ArgumentParser(
            f"python -m model_build {command}",
            description=module.__doc__,
            formatter_class=_HelpFormatter,
        )
        module.add_arguments(parser)
        return int(module.run(parser.parse_args(arguments)))

    settings: dict[str, Any] = {"ignore_unknown_options": True, "help_option_names": []}
    return click.Command(
        command,
        callback=call,
        params=[click.Argument(["arguments"], nargs=-1, type=click.UNPROCESSED)],
        context_settings=settings,
    )
