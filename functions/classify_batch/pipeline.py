"""The three functions' own code, one photo after the other through all of it.

Their folders are built in beside this file. Each has modules of the same names (`app`, `errors`, …), so each
is imported by itself, and its names are taken out of `sys.modules` again.
"""

from __future__ import annotations

import functools
import importlib
import json
import logging
import random
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    Handler = Callable[[dict[str, Any], object], Any]

FOLDERS = ("serialize_image", "classify_image", "filter_inference")
# The same as in statemachine/classify_image.asl.json; tests/contract compares them.
REJECTED = ("ObjectNotFound", "ObjectTooLarge", "UnsupportedImage", "ImageTooLarge")
TRANSIENT = ("StorageUnavailable", "EndpointBusy", "EndpointUnavailable")
DOUBTFUL = "ThresholdConfidenceNotMet"
LONGEST_PAUSE_S = 10.0


@dataclass
class Result:
    """What a photo's outcome is.

    Attributes:
        outcome: ACCEPTED, LOW_CONFIDENCE or REJECTED.
        label: the most probable class.
        confidence: its probability.
        model_version: of the model that answered.
        error: name of the error that the workflow ends with.
        cause: what it says.
        recorded: whether this batch has recorded it.
        item: the record, if so.
    """

    outcome: str
    label: str | None = None
    confidence: float | None = None
    model_version: str | None = None
    error: str | None = None
    cause: str | None = None
    recorded: bool = False
    item: dict[str, Any] | None = None


@dataclass(frozen=True)
class Temporary:
    """Why a photo has no outcome: a service did not work, or not as agreed."""

    error: str
    cause: str


class Pipeline:
    """Serializes, classifies and filters a photo.

    Args:
        handlers: of the three functions, in their order.
    """

    def __init__(self, *handlers: Handler) -> None:
        self._serialize, self._classify, self._filter = handlers

    @classmethod
    def load(cls) -> Pipeline:
        """Import the three functions.

        Photos are read and classified at the same time, but decoded one after the other: a large one takes
        two thirds of the function's memory, and its one processor decodes no faster in several threads.
        """
        apps = [_imported(folder) for folder in FOLDERS]
        apps[0].imaging.shrink = one_at_a_time(apps[0].imaging.shrink)
        return cls(*(app.lambda_handler for app in apps))

    def classify(
        self, bucket: str, key: str, version_id: str, seconds_left: Callable[[], float]
    ) -> Result | Temporary:
        """Return a photo's outcome, or why it has none yet.

        Args:
            bucket: of the photo.
            key: its key.
            version_id: its version.
            seconds_left: for trying again what failed.
        """
        pause = 0.5
        while True:
            tried = self._try({"s3_bucket": bucket, "s3_key": key, "version_id": version_id})
            if isinstance(tried, Result) or tried.error not in TRANSIENT or seconds_left() < pause:
                return tried
            time.sleep(random.uniform(0, pause))  # noqa: S311  # full jitter, no secret
            pause = min(2 * pause, LONGEST_PAUSE_S)

    def _try(self, photo: dict[str, Any]) -> Result | Temporary:
        version: str | None = None
        try:
            classified = self._classify(self._serialize(photo, None), None)
            version = classified["model_version"]
            accepted = self._filter(classified, None)
        except Exception as error:  # noqa: BLE001 - the workflow catches States.ALL too
            return _failed(type(error).__name__, str(error), version)
        return Result("ACCEPTED", accepted["label"], accepted["confidence"], version)


def _failed(name: str, message: str, model_version: str | None) -> Result | Temporary:
    if name == DOUBTFUL:
        said = json.loads(message)
        error = "THRESHOLD_CONFIDENCE_NOT_MET"
        return Result(
            "LOW_CONFIDENCE", said["label"], said["confidence"], model_version, error, said["reason"]
        )
    if name in REJECTED:
        return Result("REJECTED", model_version=model_version, error=name, cause=message)
    return Temporary(name, message)


def one_at_a_time(call: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function that does the same in one thread, whichever calls it.

    With a lock instead, each thread would keep memory of its own: half as much again.
    """
    worker = ThreadPoolExecutor(1)

    @functools.wraps(call)
    def alone(*arguments: Any, **options: Any) -> Any:
        return worker.submit(call, *arguments, **options).result()

    return alone


def _imported(folder: str) -> Any:
    """Import a function by itself and return its module `app`."""
    here = Path(__file__).resolve().parent
    path = here / folder if (here / folder).is_dir() else here.parent / folder
    names = {file.stem for file in path.glob("*.py")}
    before = {name: sys.modules.pop(name) for name in names if name in sys.modules}
    sys.path.insert(0, str(path))
    try:
        app: Any = importlib.import_module("app")
    finally:
        sys.path.remove(str(path))
        sys.path.append(str(path))  # its libraries are there
        for name in names:
            sys.modules.pop(name, None)
        sys.modules.update(before)
    app.logger = logging.getLogger(folder)  # all three are called `app` otherwise
    app.logger.setLevel(logging.WARNING)  # a line for each batch, not four for each photo
    return app
