"""What the pages of the review desk have in common: how they are rendered, guarded and answered."""

import secrets
from collections.abc import Callable
from typing import Any, Final

import jinja2
from botocore.exceptions import BotoCoreError, ClientError
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response

from commandline.aws_errors import aws_reason
from commandline.errors import CommandError, UsageError

TOKEN_HEADER: Final = "X-Desk-Token"  # noqa: S105 - a name
_templates: Final = jinja2.Environment(
    loader=jinja2.PackageLoader("operations.review"), autoescape=True, undefined=jinja2.StrictUndefined
)


def page(template: str, token: str, **values: Any) -> Response:
    """Return a page that runs its own script and style only, and sends to this server only.

    Args:
        template: its file.
        token: what its script sends with changes.
        values: for the template.
    """
    nonce = secrets.token_urlsafe(16)
    html = _templates.get_template(template).render(
        token=token, token_header=TOKEN_HEADER, nonce=nonce, **values
    )
    policy = (
        f"default-src 'none'; script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; img-src 'self'; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    return HTMLResponse(html, headers={"Content-Security-Policy": policy})


def without_token(request: Request, token: str) -> Response | None:
    """Return the refusal of a change that does not come from this server's own page; None if it does."""
    if secrets.compare_digest(request.headers.get(TOKEN_HEADER, ""), token):
        return None
    return PlainTextResponse("this request does not come from the desk's page: load it again", 403)


async def answered(do: Callable[[], dict[str, Any]]) -> Response:
    """Return as JSON what a function returns that waits for AWS; its errors as a sentence."""
    try:
        return JSONResponse(await run_in_threadpool(do))
    except UsageError as error:
        return PlainTextResponse(str(error), 400)
    except (ClientError, BotoCoreError) as error:
        return PlainTextResponse(aws_reason(error), 502)
    except CommandError as error:
        return PlainTextResponse(str(error), 502)
