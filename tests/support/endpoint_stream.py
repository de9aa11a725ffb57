"""A steady stream of requests to an endpoint."""

import threading
from typing import Any, Self

PAUSE_S = 0.02  # leaves the processor to the deployment that is tested


class Stream:
    """Sends one photo after another until it is left, and keeps every answer's version and every failure."""

    def __init__(self, runtime: Any, endpoint_name: str, body: bytes) -> None:
        self.versions: list[str] = []
        self.failures: list[Exception] = []
        self._runtime = runtime
        self._photo = {"EndpointName": endpoint_name, "Body": body, "ContentType": "image/png"}
        self._started = threading.Event()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._send)

    def __enter__(self) -> Self:
        """Return once the first photo is answered."""
        self._thread.start()
        assert self._started.wait(30)
        return self

    def __exit__(self, *_: object) -> None:
        """Wait for the last answer."""
        self._stop.set()
        self._thread.join(30)

    def _send(self) -> None:
        while not self._stop.wait(PAUSE_S):
            try:
                answer = self._runtime.invoke_endpoint(**self._photo)
                answer["Body"].read()
                self.versions.append(answer["CustomAttributes"].partition("model_version=")[2])
            except Exception as error:  # noqa: BLE001 - the test asserts that there is none
                self.failures.append(error)
            self._started.set()
