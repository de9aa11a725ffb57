"""`scones forget`."""

import json
from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Final

import click

from commandline.errors import CommandError, UsageError
from commandline.options import Duration, json_option
from commandline.terminal import confirm, plural, progress, say, visible
from operations.photos.sources import PREFIX
from operations.stack import StackChoice, stack_options

if TYPE_CHECKING:
    from operations.photos.forgetting import Traces

_LISTED: Final = 10


@click.command("forget")
@click.argument("photo", required=False)
@click.option("--prefix", metavar="KEY", help="Forget every photo under this key instead.")
@click.option("--since", type=Duration(), help="Only what was uploaded in this time: 30m, 24h, 7d.")
@stack_options
@click.option("--yes", is_flag=True, help="Delete without asking.")
@json_option
def command(  # noqa: PLR0913 - one parameter for each option
    *,
    choice: StackChoice,
    photo: str | None,
    prefix: str | None,
    since: timedelta | None,
    yes: bool,
    as_json: bool,
) -> None:
    r"""Delete a photo, all its versions, labelled copies and records; or many, by --prefix or --since.

    PHOTO is a key under incoming/, what follows incoming/ in the key, or an s3:// URI. Shows what stays
    elsewhere, and until when. With --json each photo is one line, and the last line is what stays.

    \b
    Example:
      scones forget incoming/album/photo.jpg
      scones forget --prefix incoming/album/ --since 2h
    """
    if bool(photo) == bool(prefix is not None or since):
        raise UsageError("name one PHOTO, or many photos by --prefix or --since")
    from operations.photos.forgetting import Forgetter, stays  # noqa: PLC0415 - it takes AWS's SDK

    stack = choice.find()
    forgetter = Forgetter(stack)
    start = stack.now() - since if since else None
    found = forgetter.named(photo) if photo else forgetter.under(PREFIX if prefix is None else prefix, start)
    if not found:
        name = photo or prefix or PREFIX
        raise CommandError(f"{name}: neither the bucket nor the results table has such a photo")
    if photo and len(found) > 1:
        say("\n".join(f"  {visible(one.uri)}, {one.newest()}" for one in found[:_LISTED]))
        raise UsageError(f"{photo} means {plural(len(found), 'photo')}: give the whole key of one")
    if not yes:
        _confirm(found)
    for one in progress(found, total=len(found), title="forgotten", unit="photo"):
        deleted = forgetter.forget(one)
        if as_json:
            print(json.dumps({"photo": one.uri, **deleted}))
        else:
            counts = ", ".join(f"{count:,} {what}" for what, count in deleted.items() if count)
            print(f"{visible(one.uri)}: deleted {counts}")
    left = list(stays(stack, (record for one in found for record in one.records)))
    if as_json:
        print(json.dumps({"stays": left}))
    for rest in left:
        arns = "".join(f"\n  {arn}" for arn in rest.get("executions", ()))
        say(f"stays until {rest['until']}: {rest['what']}{arns}")


def _confirm(found: Sequence["Traces"]) -> None:
    """List what would be deleted, and ask: the versions of a key may be different photos."""
    for one in found[:_LISTED]:
        say(one.uri)
        for upload in one.uploads():
            time = f"{upload['LastModified']:%Y-%m-%d %H:%M:%S} UTC"
            say(f"  {time}, {upload['Size']:,} bytes, version {upload['VersionId']}")
    if len(found) > _LISTED:
        say(f"and {plural(len(found) - _LISTED, 'photo')} more")
    versions = sum(len(one.versions) for one in found)
    counted = f"{plural(len(found), 'photo')} ({plural(versions, 'version')})"
    confirm(f"This deletes {counted}, their labelled copies and records")
