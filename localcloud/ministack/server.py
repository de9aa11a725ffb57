"""ministack's server: others' requests are refused.

It answers everybody, every origin and every host name (see `localcloud.access_guard`). Its answers keep their
`Access-Control-Allow-Origin: *`, which no page gets to see. It gives its functions the account's number as
access key, here the one that the server answers.
"""

import inspect
import json
import os
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from localcloud.access_guard import refusal
from localcloud.ministack.errors import expect, wrap

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Message, Receive, Send], Awaitable[None]]


def guarded(application: Application, access_key: str) -> Application:
    """Return an ASGI application that answers the requests of others with status 403."""

    async def guard(scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] not in {"http", "websocket"}:
            await application(scope, receive, send)
            return
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        query = scope["query_string"].decode("latin-1")
        reason = refusal(headers, scope["path"], query, access_key, scope.get("client"))
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
    """Repair the imported ministack."""
    from ministack import app as server
    from ministack.core import lambda_runtime
    from ministack.services import lambda_svc

    expect(
        "hypercorn_serve(app, config)" in inspect.getsource(server.main),
        "the application is served otherwise",
    )
    key = os.environ["AWS_ACCESS_KEY_ID"]
    server.app = guarded(server.app, key)

    def with_own_key(credentials: Callable[..., dict[str, str]]) -> Callable[..., dict[str, str]]:
        return lambda config: {**credentials(config), "AWS_ACCESS_KEY_ID": key}

    for module in (lambda_runtime, lambda_svc):
        wrap(module, "execution_credentials", ("config",), with_own_key)
