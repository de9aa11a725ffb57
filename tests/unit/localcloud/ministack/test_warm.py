"""Workers that are started when their function is deployed."""

import threading
from collections.abc import Mapping
from typing import Any

from localcloud.ministack.warm import warming


def test_a_worker_is_started_beside_the_answer() -> None:
    started: list[Mapping[str, Any]] = []
    begun = threading.Event()

    def start(function: Mapping[str, Any]) -> None:
        started.append(function)
        begun.set()
        raise RuntimeError("which the deployment does not see")

    deploy = warming(lambda *_: "deployed", {"f": {"config": {}}}, start)
    assert deploy({"FunctionName": "f"}) == "deployed"
    assert begun.wait(30)
    assert started == [{"config": {}}]


def test_nothing_is_started_for_a_function_that_was_refused() -> None:
    assert warming(lambda *_: "refused", {}, lambda _: None)("f", {}) == "refused"
