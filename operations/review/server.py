"""The review desk as a web application for the browser on this machine, and for nothing else.

It decides with the credentials of whoever started it. So it listens on loopback, answers under the names of
loopback only (a page whose name is rebound has another `Host`), refuses what comes from another origin, and
takes changes only with a token that its own page has.
"""

import secrets
from collections.abc import Awaitable, Callable
from typing import Any, Final

from botocore.exceptions import BotoCoreError, ClientError
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from commandline.aws_errors import aws_reason
from commandline.errors import CommandError
from operations.photos.pictures import CannotBeShownError
from operations.review.answers import answered, page, without_token
from operations.review.decisions import NEITHER
from operations.review.desk import AHEAD, GRID, Desk
from operations.review.live import Live
from operations.review.live_pages import LivePages
from operations.review.pictures import Pictures

_FROM_OURSELVES: Final = ("none", "same-origin")
_HEADERS: Final = {
    "Cache-Control": "no-store",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


def create_app(desk: Desk, pictures: Pictures, live: Live) -> Starlette:
    """Return the application.

    Args:
        desk: the session that it shows.
        pictures: reads the photos.
        live: what the live view shows.
    """
    server = _Server(desk, pictures)
    now = LivePages(live, pictures, desk.stack_name, server.token)
    guards = [
        Middleware(TrustedHostMiddleware, allowed_hosts=["127.0.0.1", "localhost"]),
        Middleware(BaseHTTPMiddleware, dispatch=refuse_others),
    ]
    routes = [
        Route("/", server.page),
        Route("/favicon.ico", no_icon),
        Route("/waiting", server.waiting),
        Route("/photos/{name}", server.photo),
        Route("/bound", server.bound),
        Route("/decide", server.decide, methods=["POST"]),
        Route("/undo", server.undo, methods=["POST"]),
        Route("/live", now.page),
        Route("/live/state", now.state),
        Route("/live/way", now.way),
        Route("/live/photo", now.photo),
        Route("/live/drop", now.drop, methods=["POST"]),
    ]
    return Starlette(routes=routes, middleware=guards)


async def no_icon(_request: Request) -> Response:
    """Answer a browser that asks for an icon of its own accord."""
    return Response(status_code=204)


async def refuse_others(request: Request, answer: Callable[[Request], Awaitable[Response]]) -> Response:
    """Refuse what another page sends, and add headers that keep other pages from showing this one."""
    own = f"{request.url.scheme}://{request.url.netloc}"
    origin, site = request.headers.get("origin", own), request.headers.get("sec-fetch-site", "none")
    if origin != own or site not in _FROM_OURSELVES:
        return PlainTextResponse("the review desk does not answer other pages", 403)
    response = await answer(request)
    for name, value in _HEADERS.items():
        response.headers.setdefault(name, value)
    return response


class _Server:
    def __init__(self, desk: Desk, pictures: Pictures) -> None:
        self._desk, self._pictures = desk, pictures
        self.token = secrets.token_urlsafe(32)

    async def page(self, _request: Request) -> Response:
        return page(
            "review.html.j2",
            self.token,
            stack_name=self._desk.stack_name,
            labels=self._desk.labels,
            neither=NEITHER,
        )

    async def waiting(self, request: Request) -> Response:
        count = GRID if "grid" in request.query_params else AHEAD

        def ask() -> dict[str, Any]:
            return {"photos": self._desk.waiting(count), **self._desk.status()}

        return await answered(ask)

    async def bound(self, _request: Request) -> Response:
        return await answered(lambda: {"sentence": self._desk.bound().sentence()})

    async def photo(self, request: Request) -> Response:
        photo = self._desk.photo(request.path_params["name"])
        if photo is None:
            return PlainTextResponse("this photo is not held here any more", 404)
        try:
            body = await run_in_threadpool(self._pictures.jpeg, photo)
        except (CannotBeShownError, OSError, ClientError, BotoCoreError) as error:
            return PlainTextResponse(f"the photo cannot be shown: {aws_reason(error)}", 415)
        # A version never changes; the browser fetches the next photos once, before they are shown.
        return Response(body, media_type="image/jpeg", headers={"Cache-Control": "private, max-age=600"})

    async def decide(self, request: Request) -> Response:
        if refused := without_token(request, self.token):
            return refused
        try:
            wanted = await request.json()
            name, label = str(wanted["id"]), str(wanted["label"])
        except (ValueError, KeyError, TypeError):
            return PlainTextResponse('send {"id": …, "label": …}', 400)

        def do() -> dict[str, Any]:
            try:
                return {"problem": self._desk.decide(name, label), **self._desk.status()}
            except KeyError:
                return {"problem": "this photo is not held here any more", **self._desk.status()}

        try:
            return await answered(do)
        except ValueError:
            return PlainTextResponse(f"{label}: no such label", 400)

    async def undo(self, request: Request) -> Response:
        if refused := without_token(request, self.token):
            return refused

        def do() -> dict[str, Any]:
            try:
                name = self._desk.undo()
            except CommandError as error:
                return {"id": None, "problem": str(error), **self._desk.status()}
            return {"id": name, "problem": "" if name else "nothing to undo", **self._desk.status()}

        return await answered(do)
