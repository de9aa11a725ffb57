"""`operations show`."""

import json
import sys
from typing import TYPE_CHECKING

import click

from commandline.options import json_option
from commandline.terminal import has_colour, plural, visible
from operations.outcomes import painted
from operations.stack import StackChoice, stack_options

if TYPE_CHECKING:
    from operations.photos.traces import Version


@click.command("show")
@click.argument("photo")
@stack_options
@json_option
def command(*, choice: StackChoice, photo: str, as_json: bool) -> None:
    r"""Show what became of one photo: each version, its outcome, and its trace through the workflow.

    PHOTO is a key under incoming/, what follows incoming/ in the key, an s3:// URI, a file that was sent, or
    its name. With --json each version is one line.

    \b
    Example:
      scones show photo.jpg
    """
    from operations.photos.traces import named, versions_of  # noqa: PLC0415 - it takes AWS's SDK
    from operations.status import Situation  # noqa: PLC0415

    stack = choice.find()
    uri = named(stack, photo)
    versions = versions_of(stack, uri)
    if as_json:
        for version in versions:
            print(json.dumps(version.as_json()))
        return
    print(f"{visible(uri)}: {plural(len(versions), 'version')}")
    trouble = Situation(stack).trouble() if any(one.record is None for one in versions) else []
    for version in versions:
        print("\n" + "\n".join(_lines(version, trouble)))


def _lines(version: "Version", trouble: list[str]) -> list[str]:
    size = "not in the bucket any more" if version.size is None else f"{version.size:,} bytes"
    time = f", uploaded {version.uploaded_at:%Y-%m-%d %H:%M:%S} UTC" if version.uploaded_at else ""
    lines = [f"version {version.object_version}: {size}{time}"]
    record = version.record
    if record is None:
        why = trouble or ["`scones redrive --missing` starts it if it is lost"]
        return [*lines, "  no outcome yet", *(f"  {visible(sentence)}" for sentence in why)]
    outcome = painted(record.outcome, colour=has_colour(sys.stdout)).rstrip()
    sure = "" if record.confidence is None else f" {record.confidence:.3f}"
    sure += "" if record.threshold is None else f" (threshold {record.threshold:g})"
    label = f" {record.label}" if record.label else ""
    lines.append(f"  {outcome}{label}{'' if record.decided_by else sure}, recorded {record.recorded_at}")
    shown = {
        "error": ": ".join(filter(None, [record.error, record.cause])),
        "decided by": f"{record.decided_by}, {record.decided_at}" if record.decided_by else "",
        "the model said": f"{record.model_label}{sure}" if record.model_label else "",
        "neither": "" if record.neither is None else f"{record.neither:.3f}, the model's probability",
        "model": record.model_version,
        "execution": record.execution_arn,
    }
    lines += [f"  {name}: {visible(value)}" for name, value in shown.items() if value]
    for step in version.steps:
        tries = f", {step.attempts} attempts" if step.attempts > 1 else ""
        error = f", {visible(step.error)}" if step.error else ""
        lines.append(f"    {step.name:<16} {step.seconds:6.2f} s{tries}{error}")
    return lines
