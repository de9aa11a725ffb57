"""`operations forget`."""

import json

import click

from commandline.errors import CommandError
from commandline.options import json_option
from commandline.terminal import confirm, plural, say
from operations.options import StackChoice, stack_options
from operations.photos.traces import LEFT, forget, uri_of, versions_of


@click.command("forget")
@click.argument("photo")
@stack_options
@click.option("--yes", is_flag=True, help="Delete without asking.")
@json_option
def command(*, choice: StackChoice, photo: str, yes: bool, as_json: bool) -> None:
    r"""Delete a photo, all its versions, and their records.

    PHOTO is a key under incoming/, what follows incoming/ in the key, or an s3:// URI. Says what is left and
    for how long.

    \b
    Example:
      python -m operations forget photo.jpg --yes
    """
    stack = choice.find()
    uri = uri_of(stack, photo)
    versions = versions_of(stack, uri)
    if not versions:
        raise CommandError(f"{uri}: neither the bucket nor the results table know this photo")
    if not yes:
        confirm(f"This deletes {uri} with {plural(len(versions), 'version')} and their records")
    deleted = forget(stack, uri)
    if as_json:
        print(json.dumps({"photo": uri, **deleted}))
    else:
        print("deleted " + ", ".join(f"{count:,} {what}" for what, count in deleted.items() if count))
    say(LEFT)
