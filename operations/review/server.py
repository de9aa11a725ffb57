"""The review desk as a web application for the browser of whoever started it, and for nothing else.

It decides with their credentials. So it listens on loopback, answers under the names of loopback only (a page
whose name is rebound has another `Host`), refuses what comes from another origin, and needs a token: the
address that is printed has it, and leaves it in a cookie. Other users of the machine have neither.
"""

import errno
import json
import os
import secrets
import socket
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Final

import jinja2
import uvicorn
from botocore.exceptions import BotoCoreError, ClientError
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route

from commandline.aws import aws_reason
from commandline.errors import CommandError, UsageError
from operations.outcomes import OUTCOMES
from operations.photos.labelled import NEITHER
from operations.photos.pictures import MOST_BYTES, CannotBeShownError, jpeg
from operations.review import LOOPBACK
from operations.review.desk import AHEAD, MANY, SKIPPED, Desk, NotHeldError
from operations.review.live import Live, is_photo
from operations.stack import Stack
from operations.status import Situation

LONGEST_SIDE: Final = 1600
SMALL_SIDE: Final = 120
_NO_PREVIEW: Final = '<svg xmlns="http://www.w3.org/2000/svg" width="1" height="1"/>'
_FROM_OURSELVES: Final = ("none", "same-origin")
_HEADERS: Final = {
    "Cache-Control": "no-store",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
_templates: Final = jinja2.Environment(
    loader=jinja2.PackageLoader("operations.review"), autoescape=True, undefined=jinja2.StrictUndefined
)

Next = Callable[[Request], Awaitable[Response]]


def create_app(stack: Stack, desk: Desk, token: str) -> Starlette:
    """Return the application that shows a session and the stack's live view."""
    server, live, situation = _Server(stack, desk), Live(stack), Situation(stack)

    def asked(request: Request, *names: str) -> list[str]:
        return [request.query_params.get(name, "") for name in names]

    def waiting(request: Request, _body: bytes) -> dict[str, Any]:
        photos = desk.waiting(MANY if "grid" in request.query_params else AHEAD)
        return {"photos": photos, **desk.status()}

    def undo(request: Request, _body: bytes) -> dict[str, Any]:
        undone, problem = desk.undo(*asked(request, "answer"))
        return {"undone": undone, "problem": problem, "photos": desk.held(), **desk.status()}

    def drop(request: Request, body: bytes) -> dict[str, Any]:
        return {"key": live.drop(request.query_params.get("name", ""), body)}

    def is_token(text: str) -> bool:
        return secrets.compare_digest(text.encode(), token.encode())

    async def pass_with_token(request: Request, answer: Next) -> Response:
        """Let in who has the token in a cookie, and move it there from the address."""
        cookie = f"scones_desk_{request.url.port}"  # a browser sends the cookies of all ports
        if is_token(request.query_params.get("token", "")):
            moved = RedirectResponse(request.url.remove_query_params("token"), 303)
            moved.set_cookie(cookie, token, httponly=True, samesite="strict")
            return moved
        if is_token(request.cookies.get(cookie, "")):
            return await answer(request)
        return PlainTextResponse("open the whole address that was printed when the review desk started", 403)

    guards = [
        Middleware(TrustedHostMiddleware, allowed_hosts=[LOOPBACK, "localhost"]),
        Middleware(BaseHTTPMiddleware, dispatch=_refuse_others),
        Middleware(BaseHTTPMiddleware, dispatch=pass_with_token),
    ]
    routes = [
        Route("/", server.review_page),
        Route("/favicon.ico", Response(status_code=204)),
        Route("/waiting", _json(waiting)),
        Route("/photos/{name}", server.held_photo),
        Route("/bound", _json(lambda *_: {"sentence": desk.bound()})),
        Route("/decide", _json(server.decide), methods=["POST"]),
        Route("/undo", _json(undo), methods=["POST"]),
        Route("/live", server.live_page),
        Route("/live/state", _json(lambda request, _: live.state(*asked(request, "outcome")))),
        Route("/live/status", _json(lambda *_: situation.banner())),
        Route("/live/trace", _json(lambda request, _: live.trace(*asked(request, "key", "version")))),
        Route("/live/photo", server.recorded_photo),
        Route("/live/drop", _json(drop), methods=["POST"]),
    ]
    return Starlette(routes=routes, middleware=guards)


def serve(application: Starlette, host: str, port: int, started: Callable[[int], None]) -> None:
    """Serve until SIGINT or SIGTERM; `started` is called with the port once it listens."""
    try:
        listener = socket.create_server((host, port))
    except OSError as error:
        reason = os.strerror(error.errno or 0)
        if error.errno == errno.EADDRINUSE:
            reason = "another program does, perhaps a review desk that runs already (scones local status)"
        raise CommandError(
            f"cannot listen on {host}:{port}: {reason}; give another --port, or 0 for a free one"
        ) from error
    with listener:
        started(int(listener.getsockname()[1]))
        config = uvicorn.Config(application, log_level="warning", access_log=False)
        uvicorn.Server(config).run(sockets=[listener])


async def _refuse_others(request: Request, answer: Next) -> Response:
    """Refuse what another page sends, and add headers that keep other pages from showing this one."""
    own = f"{request.url.scheme}://{request.url.netloc}"
    origin, site = request.headers.get("origin", own), request.headers.get("sec-fetch-site", "none")
    if origin != own or site not in _FROM_OURSELVES:
        return PlainTextResponse("the review desk does not answer other pages", 403)
    response = await answer(request)
    for name, value in _HEADERS.items():
        response.headers.setdefault(name, value)
    return response


def _json(
    do: Callable[[Request, bytes], dict[str, Any]],
) -> Callable[[Request], Coroutine[Any, Any, Response]]:
    """Answer as JSON with what a function makes of a request and its body, its errors as a sentence."""

    async def answer(request: Request) -> Response:
        body = bytearray()
        async for chunk in request.stream():
            body += chunk
            if len(body) > MOST_BYTES:
                return PlainTextResponse(f"a photo has at most {MOST_BYTES:,} bytes", 413)
        try:
            return JSONResponse(await run_in_threadpool(do, request, bytes(body)))
        except UsageError as error:
            return PlainTextResponse(str(error), 400)
        except (ClientError, BotoCoreError, CommandError) as error:
            return PlainTextResponse(aws_reason(error), 502)

    return answer


class _Server:
    def __init__(self, stack: Stack, desk: Desk) -> None:
        self._desk = desk
        self._s3, self._bucket = stack.client("s3"), stack.output("PhotoBucketName")

    async def review_page(self, _request: Request) -> Response:
        labels = await run_in_threadpool(lambda: self._desk.labels)
        return self._page("review.html.j2", labels=labels, neither=NEITHER)

    async def live_page(self, _request: Request) -> Response:
        return self._page("live.html.j2", outcomes=OUTCOMES)

    def _page(self, template: str, **values: Any) -> Response:
        """Return a page that runs its own script and style only, and sends to this server only."""
        nonce = secrets.token_urlsafe(16)
        values |= {"stack_name": self._desk.stack_name, "nonce": nonce}
        html = _templates.get_template(template).render(values)
        policy = (
            f"default-src 'none'; script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; img-src 'self'; "
            "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
        )
        return HTMLResponse(html, headers={"Content-Security-Policy": policy})

    def decide(self, _request: Request, body: bytes) -> dict[str, Any]:
        try:
            wanted = json.loads(body)
            texts = [wanted[name] for name in ("id", "label", "answer")]
        except (ValueError, KeyError, TypeError, RecursionError):
            texts = [None]
        if not all(isinstance(text, str) for text in texts):
            raise UsageError('send {"id": …, "label": …, "answer": …}')
        (name, label, answer), problem = texts, ""
        try:
            if label == SKIPPED:
                self._desk.skip(name, answer)
            else:
                problem = self._desk.decide(name, label, answer)
        except NotHeldError as error:
            problem = str(error)
        return {"problem": problem, **self._desk.status()}

    async def held_photo(self, request: Request) -> Response:
        photo = self._desk.photo(request.path_params["name"])
        if photo is None:
            return PlainTextResponse("this photo is not held here any more", 404)
        return await self._jpeg(photo.record.key, photo.record.object_version)

    async def recorded_photo(self, request: Request) -> Response:
        key, version = (request.query_params.get(name, "") for name in ("key", "version"))
        if not is_photo(key, version):
            return PlainTextResponse(f"{key} is no photo", 400)
        return await self._jpeg(key, version, small="small" in request.query_params)

    async def _jpeg(self, key: str, version: str, *, small: bool = False) -> Response:
        """Return a photo as a browser shows it: any that the workflow reads, upright, of bounded size."""

        def read() -> bytes:
            named = {} if version == "unversioned" else {"VersionId": version}
            answer = self._s3.get_object(Bucket=self._bucket, Key=key, **named)
            if (size := answer["ContentLength"]) > MOST_BYTES:
                raise CannotBeShownError(f"it has {size:,} bytes, more than {MOST_BYTES:,}")
            return jpeg(answer["Body"].read(), SMALL_SIDE if small else LONGEST_SIDE)

        try:
            body = await run_in_threadpool(read)
        except (CannotBeShownError, OSError, ClientError, BotoCoreError) as error:
            if small:  # a list shows what it can
                return Response(_NO_PREVIEW, media_type="image/svg+xml")
            return PlainTextResponse(f"the photo cannot be shown: {aws_reason(error)}", 415)
        # A version never changes; the browser fetches the next photos once, before they are shown.
        return Response(body, media_type="image/jpeg", headers={"Cache-Control": "private, max-age=600"})
