"""The live view's page and what its script asks for."""

from botocore.exceptions import BotoCoreError, ClientError
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from commandline.aws_errors import aws_reason
from commandline.errors import CommandError
from operations.photos.pictures import CannotBeShownError
from operations.review.answers import answered, page, without_token
from operations.review.live import MOST_BYTES, Live
from operations.review.pictures import Pictures


class LivePages:
    """Answers for the live view.

    Args:
        live: what it shows.
        pictures: reads the photos.
        stack_name: in its title.
        token: what its page sends with a photo.
    """

    def __init__(self, live: Live, pictures: Pictures, stack_name: str, token: str) -> None:
        self._live, self._pictures, self._stack_name, self._token = live, pictures, stack_name, token

    async def page(self, _request: Request) -> Response:
        """Return the page."""
        return page("live.html.j2", self._token, stack_name=self._stack_name)

    async def state(self, _request: Request) -> Response:
        """Return counts and latest photos."""
        return await answered(self._live.state)

    async def way(self, request: Request) -> Response:
        """Return a photo's way through the workflow."""
        key, version = _named(request)
        return await answered(lambda: self._live.way(key, version))

    async def photo(self, request: Request) -> Response:
        """Return a photo as JPEG, small enough for a page."""
        key, version = _named(request)
        try:
            body = await run_in_threadpool(lambda: self._pictures.jpeg(self._live.photo(key, version)))
        except (CannotBeShownError, OSError, ClientError, BotoCoreError) as error:
            return PlainTextResponse(f"the photo cannot be shown: {aws_reason(error)}", 415)
        except CommandError as error:
            return PlainTextResponse(str(error), 400)
        return Response(body, media_type="image/jpeg", headers={"Cache-Control": "private, max-age=600"})

    async def drop(self, request: Request) -> Response:
        """Upload a photo that was dropped on the page."""
        if refused := without_token(request, self._token):
            return refused
        body = b""
        async for chunk in request.stream():
            body += chunk
            if len(body) > MOST_BYTES:
                return PlainTextResponse(f"a photo has at most {MOST_BYTES:,} bytes", 413)
        name = request.query_params.get("name", "")
        return await answered(lambda: {"key": self._live.drop(name, body)})


def _named(request: Request) -> tuple[str, str]:
    return request.query_params.get("key", ""), request.query_params.get("version", "")
