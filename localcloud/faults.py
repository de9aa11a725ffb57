"""What can go wrong at which call, and which faults are switched on: a file in the state folder."""

import json
import os
import re
import threading
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from random import Random
from typing import Final

from localcloud.files import replace_text

VARIABLE: Final = "SCONES_FAULTS"
"""Names the file to the services of a local cloud."""
FUNCTIONS: Final = ("SerializeImage", "ClassifyImage", "FilterInference")
_ERROR: Final = re.compile(r"(?:(\d{3}) )?([A-Z][\w.]+): (.+)")


@dataclass(frozen=True)
class Place:
    """Calls that faults can be switched on for, as AWS names them, and what happens, by the fault's name.

    What is an error is AWS's answer, such as `429 Name: message`.
    """

    operations: tuple[str, ...]
    faults: dict[str, str]

    def error(self, name: str) -> tuple[int, str, str] | None:
        """Return HTTP status (or 0), code and message of AWS's error; None for another fault."""
        found = _ERROR.fullmatch(self.faults[name])
        return (int(found[1] or 0), found[2], found[3]) if found else None


_INTEGRATION: Final = {
    "slow": "takes --seconds longer",
    "timeout": "SdkClientException: no answer until the state's own limit",
    "throttled": "ThrottlingException: the service throttles",
    "error": "AmazonDynamoDBException: the service has an internal error",
    "denied": "AccessDeniedException: the role may not make the call",
}

PLACES: Final = {
    "sagemaker": Place(
        ("InvokeEndpoint",),
        {
            "slow": "the model takes --seconds longer",
            "timeout": "424 ModelError: Your invocation timed out while waiting for a response.",
            "waking": "429 ModelNotReadyException: The model is not ready yet.",
            "throttled": "400 ThrottlingException: Rate exceeded",
            "error": "500 InternalFailure: Internal failure",
            "unavailable": "503 ServiceUnavailable: The service is unavailable. Try your call again.",
            "model-error": '424 ModelError: Received server error (500) from primary with message "broken".',
            "missing": "400 ValidationError: Endpoint of account 000000000000 not found.",
            "wrong-length": "the answer has one probability too many",
            "not-a-number": "the answer has NaN in it",
            "not-json": "the answer is no JSON",
            "empty": "the answer is empty",
        },
    ),
    "s3": Place(
        ("GetObject",),
        {
            "slow": "reading takes --seconds longer",
            "slow-down": "503 SlowDown: Please reduce your request rate.",
            "error": "500 InternalError: We encountered an internal error. Please try again.",
            "denied": "403 AccessDenied: Access Denied",
            "broken-off": "the connection ends in the middle of the object",
        },
    ),
    "lambda": Place(
        FUNCTIONS,
        {
            "slow": "the function takes --seconds longer",
            "crash": "Runtime.ExitError: Error: Runtime exited with error: signal: killed",
            "timeout": "Sandbox.Timedout: Error: Task timed out",
            "throttled": "Lambda.TooManyRequestsException: Rate Exceeded.",
            "error": "Lambda.ServiceException: The service encountered an internal error.",
        },
    ),
    "dynamodb": Place(("PutItem", "UpdateItem"), _INTEGRATION),
    "sqs": Place(("SendMessage",), _INTEGRATION),
    "events": Place(
        ("PutEvents",), {**_INTEGRATION, "error": "EventBridgeException: the service has an internal error"}
    ),
    "rule": Place(
        ("ObjectCreated",),
        {
            "duplicate": "the upload's event comes twice",
            "late": "it comes --seconds later; with a --rate, events come out of order",
            "lost": "it never comes",
            "throttled": "the workflow cannot be started now; the rule tries again",
            "denied": "the rule may not start the workflow: the event goes to the dead-letter queue",
        },
    ),
}
"""By service; `rule` is what happens between S3 and the start of the workflow."""


@dataclass(frozen=True)
class Fault:
    """A fault that is switched on, one of `PLACES`."""

    id: str
    name: str
    service: str
    operation: str = ""  # empty for all of the service
    rate: float = 1.0  # share of the calls
    times: int | None = None  # how many calls at most; None for all
    key: str = ""  # only calls about a photo whose key contains this text
    seconds: float = 2.0
    seed: int = 0  # equal seeds hit the same calls, counted from the first


class FaultFile:
    """The file of the faults that are switched on, and beside it the log of the calls that they hit.

    A process counts by itself what it was hit by; the file may change meanwhile.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._log = path.with_suffix(".log")
        self._lock = threading.Lock()
        self._stamp: tuple[int, int] | None = None
        self._faults: list[Fault] = []
        self._chances: dict[str, Random] = {}
        self._hits = Counter[str]()

    def load(self) -> list[Fault]:
        """Return what is switched on."""
        try:
            return [Fault(**one) for one in json.loads(self.path.read_text(encoding="utf-8"))]
        except FileNotFoundError:
            return []

    def save(self, faults: Iterable[Fault]) -> None:
        """Switch on exactly these."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        replace_text(self.path, json.dumps([asdict(one) for one in faults], indent=2) + "\n")

    def clear(self) -> None:
        """Switch everything off and forget what was hit."""
        self.path.unlink(missing_ok=True)
        self._log.unlink(missing_ok=True)

    def hits(self) -> dict[str, int]:
        """Return how many calls each fault has hit, by its id."""
        return Counter(self._log.read_text(encoding="utf-8").splitlines() if self._log.exists() else ())

    def pick(self, service: str, operation: str, about: str = "") -> Fault | None:
        """Return the fault that hits a call, or None; `about` has the photo's key in it, if there is one."""
        with self._lock:
            self._refresh()
            for fault in self._faults:
                concerned = fault.service == service and fault.operation in {"", operation}
                spent = fault.times is not None and self._hits[fault.id] >= fault.times
                if not concerned or fault.key not in about or spent:
                    continue
                seed = f"{fault.seed} {fault.service} {fault.name}"
                if self._chances.setdefault(fault.id, Random(seed)).random() < fault.rate:  # noqa: S311  # no secret
                    self._hits[fault.id] += 1
                    with self._log.open("a", encoding="utf-8") as log:
                        log.write(fault.id + "\n")
                    return fault
        return None

    def _refresh(self) -> None:
        try:
            status = self.path.stat()
        except OSError:
            self._stamp, self._faults = None, []
            return
        stamp = (status.st_mtime_ns, status.st_ino)
        if stamp != self._stamp:
            self._stamp, self._faults = stamp, self.load()


def of_this_process() -> FaultFile:
    """Return the faults of the local cloud that this process belongs to; in any other, nothing is on."""
    return FaultFile(Path(os.environ.get(VARIABLE, f"{os.devnull}/none")))
