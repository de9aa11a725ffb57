"""Sends photos when they are due, and follows them until each has its outcome or the time is over."""

import json
import tempfile
import threading
import time
import uuid
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

from botocore.exceptions import BotoCoreError, ClientError

from model_build.data.samples import write_samples
from operations.load.account import Account, Version
from operations.load.schedule import Plan
from operations.load.view import View
from operations.photos.listener import OutcomeListener
from operations.photos.sources import PREFIX
from operations.results import ResultsTable
from operations.stack import Stack

SENDERS: Final = 16
_FILES: Final = {"doubtful": "cat.jpg", "broken": "truncated.jpg"}
_GOOD: Final = ("bicycle.jpg", "motorcycle.jpg")


class Load:
    """A load on a deployed stack.

    Args:
        stack: the deployed stack.
        plan: when which photos are sent.
    """

    def __init__(self, stack: Stack, plan: Plan) -> None:
        self.account = Account()
        self._title = f"{plan.rate:g} photos a second to {stack.name}, {plan.shape}, seed {plan.seed}"
        self._plan = plan
        self._bucket = stack.output("PhotoBucketName")
        self._machine = stack.output("ClassifyImageStateMachineArn")
        self._stack, self._table = stack, ResultsTable(stack)
        self._s3, self._workflow = stack.client("s3"), stack.client("stepfunctions")
        self._prefix = f"{PREFIX}load/{uuid.uuid4().hex[:8]}/"
        self._lock = threading.Lock()
        with tempfile.TemporaryDirectory(prefix="load-") as folder:
            self._content = {path.name: path.read_bytes() for path in write_samples(Path(folder))}

    def run(self, timeout_s: float) -> Account:
        """Send everything, wait for the outcomes, and return the account.

        Args:
            timeout_s: how long to wait after the last photo was due.
        """
        arrivals = self._plan.arrivals()
        kinds = self._plan.kinds(len(arrivals))
        with OutcomeListener(self._stack) as listener, ThreadPoolExecutor(SENDERS) as senders:
            begun = time.time()
            for number, (due, kind) in enumerate(zip(arrivals, kinds, strict=True)):
                senders.submit(self._send_when_due, f"{number:06d}-{kind}.jpg", kind, begun + due)
            deadline = begun + self._plan.duration_s + timeout_s
            view = View(self._title, len(arrivals), begun + self._plan.duration_s)
            with view.on_terminal() as live:
                while time.time() < deadline and not self._settled(len(arrivals)):
                    self._listen(listener)
                    if live:
                        with self._lock:
                            panel = view.panel(self.account)
                        live.update(panel, refresh=True)
            senders.shutdown(cancel_futures=True)
            self._listen(listener)  # a duplicate event would come about now
        return self.account

    def _settled(self, photos: int) -> bool:
        with self._lock:
            begun = len({uri for uri, _ in self.account.due}) + len(self.account.unsent)
            return begun >= photos and not self.account.missing() and not self.account.unheard()

    def _listen(self, listener: OutcomeListener) -> None:
        heard = list(listener.receive(1))
        with self._lock:
            for detail in heard:
                self.account.add_event(detail)
            # Only those that were heard of, or are late: reading all each time would be a load of its own.
            late = time.time() - 10
            asked = [
                one
                for one in self.account.missing()
                if self.account.events[one] or self.account.due[one] < late
            ]
        found = self._table.get_many(asked)
        with self._lock:
            self.account.add_records(found)

    def _send_when_due(self, name: str, kind: str, due: float) -> None:
        time.sleep(max(0.0, due - time.time()))
        try:
            for version in self._send(name, kind, due):
                if kind == "duplicate":
                    self._start_again(version)
        except (ClientError, BotoCoreError, OSError) as error:
            with self._lock:
                self.account.unsent.append(f"{name}: {error}")

    def _send(self, name: str, kind: str, due: float) -> Iterable[Version]:
        good = self._content[_GOOD[sum(name.encode()) % len(_GOOD)]]
        bodies = [self._content[_FILES[kind]] if kind in _FILES else good]
        if kind == "overwritten":
            bodies.append(self._content["cat.jpg"])
        key = self._prefix + name
        sent = []
        for body in bodies:
            answer = self._s3.put_object(Bucket=self._bucket, Key=key, Body=body)
            version = (f"s3://{self._bucket}/{key}", answer["VersionId"])
            with self._lock:
                self.account.due[version] = due
            sent.append(version)
        return sent

    def _start_again(self, version: Version) -> None:
        uri, version_id = version
        photo: dict[str, Any] = {
            "s3_bucket": self._bucket,
            "s3_key": uri.removeprefix(f"s3://{self._bucket}/"),
            "version_id": version_id,
        }
        self._workflow.start_execution(stateMachineArn=self._machine, input=json.dumps(photo))
