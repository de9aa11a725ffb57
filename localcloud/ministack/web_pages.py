"""Web pages are refused: ministack answers every origin and every host name.

See `localcloud.access_guard`. Its answers to others keep their `Access-Control-Allow-Origin: *`, which no
page gets to see.
"""

import inspect
import json
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from localcloud.access_guard import refusal
from localcloud.ministack.errors import IncompatibleMinistackError

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Message, Receive, Send], Awaitable[None]]


def guarded(application: Application) -> Application:
    """Return an ASGI application that answers the requests of web pages with status 403."""

    async def guard(scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] not in {"http", "websocket"}:
            await application(scope, receive, send)
            return
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        reason = refusal(headers)
        if reason is None:
            await application(scope, receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008, "reason": reason})
        else:
            await _refuse(send, reason)

    return guard


async def _refuse(send: Send, reason: str) -> None:
    body = json.dumps({"__type": "AccessDeniedException", "message": reason}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 403, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def apply() -> None:
    """Repair the imported ministack.

    Raises:
        IncompatibleMinistackError: it does not fit.
    """
    from ministack import app as server  # type: ignore[import-untyped]  # noqa: PLC0415

    if "hypercorn_serve(app, config)" not in inspect.getsource(server.main):
        raise IncompatibleMinistackError("ministack serves its application in another way")
    server.app = guarded(server.app)
