"""How many requests a serverless endpoint takes at a time, and how long it needs for the first.

SageMaker throttles requests beyond the endpoint's MaxConcurrency, and starts a container when the first
request arrives: https://docs.aws.amazon.com/sagemaker/latest/dg/serverless-endpoints.html. The emulator's
containers are always warm; `COLD_START_VARIABLE` in the model's environment makes an endpoint start cold.
"""

import contextlib
import threading
import time
from collections.abc import Iterator, Mapping
from typing import Any, Final

from localcloud.sagemaker.container import INVOCATION_TIMEOUT_S
from localcloud.sagemaker.resources import ApiError

COLD_START_VARIABLE: Final = "SCONES_LOCAL_COLD_START_SECONDS"


class Capacity:
    """The requests in flight through a serverless endpoint, and its cold start.

    Args:
        max_concurrency: requests beyond it are throttled.
        cold_start_s: seconds from the first request until any is answered.
    """

    def __init__(self, max_concurrency: int, cold_start_s: float = 0) -> None:
        self._limit = max_concurrency
        self._cold_start_s = cold_start_s
        self._warm_at: float | None = None
        self._in_flight = 0
        self._lock = threading.Lock()

    @classmethod
    def of_variant(cls, variant: Mapping[str, Any], environment: Mapping[str, str]) -> "Capacity":
        """Read MaxConcurrency of a serverless variant, and the cold start from the model's environment."""
        return cls(
            variant["ServerlessConfig"]["MaxConcurrency"], float(environment.get(COLD_START_VARIABLE, "0"))
        )

    @contextlib.contextmanager
    def slot(self) -> Iterator[None]:
        """Hold one of the endpoint's slots, from when it is warm.

        Raises:
            ApiError: ThrottlingException where all slots are taken.
            TimeoutError: the cold start takes longer than SageMaker waits for an answer.
        """
        with self._lock:
            if self._in_flight >= self._limit:
                raise ApiError("ThrottlingException", "Rate exceeded")
            self._in_flight += 1
            if self._warm_at is None:
                self._warm_at = time.monotonic() + self._cold_start_s
            wait_s = self._warm_at - time.monotonic()
        try:
            time.sleep(min(max(wait_s, 0), INVOCATION_TIMEOUT_S))
            if wait_s > INVOCATION_TIMEOUT_S:
                raise TimeoutError
            yield
        finally:
            with self._lock:
                self._in_flight -= 1
