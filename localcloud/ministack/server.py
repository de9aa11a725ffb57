"""ministack's server: others' requests are refused.

It answers everybody, every origin and every host name (see `localcloud.access_guard`). Its answers keep their
`Access-Control-Allow-Origin: *`, which no page gets to see. It gives its functions the account's number as
access key, here the one that the server answers.
"""

import inspect
import json
import os
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final

from ministack import app as server
from ministack.core import lambda_runtime
from ministack.services import lambda_svc

from localcloud.access_guard import refusal
from localcloud.ministack.repairs import Repairs, expect

REPAIRS: Final = Repairs()

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Message, Receive, Send], Awaitable[None]]


async def answer(send: Send, status: int, text: str, kind: str = "application/json") -> None:
    """Answer a request."""
    body = text.encode()
    headers = [(b"content-type", kind.encode()), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


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
            await answer(send, 403, json.dumps({"__type": "AccessDeniedException", "message": reason}))

    return guard


@REPAIRS.step
def _guard() -> None:
    served = "hypercorn_serve(app, config)" in inspect.getsource(server.main)
    expect(served, "the application is served otherwise")
    server.app = guarded(server.app, os.environ["AWS_ACCESS_KEY_ID"])


@REPAIRS.around(lambda_runtime, "execution_credentials", "config")
@REPAIRS.around(lambda_svc, "execution_credentials", "config")
def _with_own_key(credentials: Callable[[Any], dict[str, str]], config: Any) -> dict[str, str]:
    return {**credentials(config), "AWS_ACCESS_KEY_ID": os.environ["AWS_ACCESS_KEY_ID"]}
