"""The checks of `operations smoke`, in their order."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from botocore.exceptions import ClientError

from operations.checks import Check, UnansweredError, ask, ok, unknown, wrong
from operations.photos.outcome import disagreement
from operations.smoke.deployment import Deployment, Upload
from operations.smoke.samples import Sample

CANARY_PAUSE_S: Final = 15  # between two uploads while a new bucket sends no events yet
BURST: Final = 5
LOG_WAIT_S: Final = 60
QUIET_S: Final = 10  # how long a duplicate may take to publish what it must not


@dataclass(frozen=True)
class Limits:
    """How long the parts of the smoke test wait, in seconds.

    Attributes:
        canary: for the first upload that starts an execution.
        photo: for the outcome of one photo.
        logs: for a log line or a trace to become readable.
    """

    canary: float = 360
    photo: float = 180
    logs: float = LOG_WAIT_S


class SmokeTest:
    """Proves a deployment with photos of its own.

    Args:
        deployment: the stack.
        samples: one of each outcome; the first must be ACCEPTED.
        limits: how long to wait.
    """

    def __init__(self, deployment: Deployment, samples: Sequence[Sample], limits: Limits) -> None:
        self._deployment = deployment
        self._samples = samples
        self._limits = limits

    def run(self) -> Iterator[Check]:
        """Make every check.

        Yields:
            What each found. Without a canary the others are not made, since nothing would start them.
        """
        canary = self._canary()
        yield canary
        if canary.status != "ok":
            return
        uploads = [self._deployment.upload(sample) for sample in self._samples]
        for upload in uploads:
            yield from self._outcome(upload)
        yield from self._review_queue(uploads)
        ended = [upload for upload in uploads if self._events(upload)]
        for upload in ended:
            if upload.sample.outcome == "FAILED":  # its error, which names the object, is always logged
                yield self._log(upload)
        if ended:
            yield self._trace(ended[0])
        yield self._missing_object()
        yield from self._duplicates(uploads)
        yield self._burst()

    # -------------------------------------------------------------------------------- the canary

    def _canary(self) -> Check:
        """Upload photos until one starts an execution; a new bucket sends no events at first."""
        name, started, number = "upload event", time.monotonic(), 0
        uploads: list[Upload] = []
        while time.monotonic() - started < self._limits.canary:
            number += 1
            uploads.append(self._deployment.upload(self._samples[0], f"canary-{number}.jpg"))
            pause_ends = time.monotonic() + CANARY_PAUSE_S
            while time.monotonic() < pause_ends:
                self._deployment.listen()
                if any(self._deployment.events_of(upload.uri) for upload in uploads):
                    seconds = time.monotonic() - started
                    return ok(name, f"upload {number} ended in an outcome {seconds:.0f} s after the first")
        return wrong(name, *self._why_no_event(uploads[-1], time.monotonic() - started))

    def _why_no_event(self, upload: Upload, seconds: float) -> tuple[str, str]:
        if error := self._deployment.last_error(upload.uri):
            return (
                f"executions start, but none ended within {seconds:.0f} s; the last error is {error}",
                "correct what the error names; `python -m operations doctor` checks the endpoint",
            )
        detail = f"no upload started an execution within {seconds:.0f} s"
        for rule in self._rules():
            if rule["State"] != "ENABLED":
                return (
                    f"{detail}: the rule {rule['Name']} is {rule['State']}",
                    f"aws events enable-rule --name {rule['Name']}",
                )
        advice = (
            "see the queue UndeliveredEventsQueue and the bucket's EventBridge notifications, and try again: "
            "a new bucket sends no events for about five minutes"
        )
        return detail, advice

    def _rules(self) -> list[dict[str, Any]]:
        session = self._deployment.stack.session
        try:
            names = ask(
                session, "events", "ListRuleNamesByTarget", TargetArn=self._deployment.state_machine
            ).get("RuleNames", [])
            return [ask(session, "events", "DescribeRule", Name=name) for name in names]
        except (UnansweredError, ClientError):
            return []

    # -------------------------------------------------------------------------------- one photo

    def _wait(self, condition: Callable[[], bool], seconds: float) -> bool:
        """Collect events until a condition holds; return whether it does."""
        deadline = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > deadline:
                return False
            self._deployment.listen()
        return True

    def _outcome(self, upload: Upload) -> Iterator[Check]:
        sample, name = upload.sample, f"{upload.sample.outcome} {upload.sample.name}"
        if not self._wait(lambda: bool(self._events(upload)), self._limits.photo):
            error = self._deployment.last_error(upload.uri) or "its execution tells no error"
            yield wrong(
                name, f"no outcome within {self._limits.photo:.0f} s: {error}", "correct what it names"
            )
            return
        seconds = time.monotonic() - upload.started
        event = self._events(upload)[0]
        record = self._deployment.record(upload)
        execution = self._settled(event["execution_arn"])
        if problem := disagreement(record, event, execution):
            yield wrong(f"{name}: consistency", problem, "report it with this output: it is a bug")
        found = (event["outcome"], event.get("error"))
        if found == (sample.outcome, sample.error):
            sure = "" if event.get("confidence") is None else f" {event['label']} {event['confidence']:.3f}"
            yield ok(
                name, f"{event['outcome']}{sure} after {seconds:.1f} s; table, event and execution agree"
            )
        else:
            yield wrong(name, _unexpected(event), _advice(sample, event))

    def _events(self, upload: Upload) -> list[Any]:
        return self._deployment.events_of(upload.uri, upload.version)

    def _settled(self, arn: str) -> Any:
        """Return the execution once it has ended: its last state comes after the event."""
        execution = self._deployment.execution(arn)
        deadline = time.monotonic() + QUIET_S
        while execution and execution["status"] == "RUNNING" and time.monotonic() < deadline:
            time.sleep(0.2)
            execution = self._deployment.execution(arn)
        return execution

    # -------------------------------------------------------------------------------- what tells of a photo

    def _review_queue(self, uploads: Sequence[Upload]) -> Iterator[Check]:
        doubtful = [upload for upload in uploads if upload.sample.outcome == "LOW_CONFIDENCE"]
        messages = [(facts["object_uri"], receipt) for facts, receipt in self._deployment.review_messages()]
        for _, receipt in messages:
            self._deployment.dismiss(receipt)
        for upload in doubtful:
            count = sum(uri == upload.uri for uri, _ in messages)
            if count == 1:
                yield ok("review queue", f"has one message for {upload.sample.name}")
            else:
                yield wrong(
                    "review queue",
                    f"has {count} messages for {upload.sample.name}, expected 1",
                    "see that the workflow's role allows sqs:SendMessage on ReviewQueue",
                )

    def _log(self, upload: Upload) -> Check:
        group = f"/scones/{self._deployment.stack.name}/serialize-image"
        return self._eventually("log", lambda: self._log_line(group, upload.key), f"{group} names the photo")

    def _log_line(self, group: str, key: str) -> bool:
        answer = ask(
            self._deployment.stack.session,
            "logs",
            "FilterLogEvents",
            logGroupName=group,
            filterPattern=f'"{key}"',
        )
        return bool(answer.get("events"))

    def _trace(self, upload: Upload) -> Check:
        event = self._events(upload)[0]
        execution = self._deployment.execution(event["execution_arn"]) or {}
        header = dict(
            part.split("=", 1) for part in execution.get("traceHeader", "").split(";") if "=" in part
        )
        if header.get("Sampled") != "1":
            return unknown("trace", "X-Ray did not sample this execution (one a second and 5 % are)")
        return self._eventually(
            "trace", lambda: self._trace_exists(header["Root"]), f"X-Ray has {header['Root']}"
        )

    def _trace_exists(self, trace: str) -> bool:
        answer = ask(self._deployment.stack.session, "xray", "BatchGetTraces", TraceIds=[trace])
        return bool(answer.get("Traces"))

    def _eventually(self, name: str, holds: Callable[[], bool], detail: str) -> Check:
        try:
            if self._wait(holds, self._limits.logs):
                return ok(name, detail)
        except UnansweredError as error:
            return unknown(name, str(error))
        except ClientError as error:
            return wrong(name, str(error), "deploy the stack again")
        return wrong(name, f"not within {self._limits.logs:.0f} s: {detail}", "see the function's role")

    # -------------------------------------------------------------------------------- unusual events

    def _missing_object(self) -> Check:
        name, key = "missing object", f"{self._deployment.prefix}never-uploaded.jpg"
        uri = f"s3://{self._deployment.bucket}/{key}"
        self._deployment.start(s3_key=key)
        if not self._wait(lambda: bool(self._deployment.events_of(uri)), self._limits.photo):
            return wrong(name, f"no outcome within {self._limits.photo:.0f} s", "see its execution")
        event = self._deployment.events_of(uri)[0]
        if (event["outcome"], event.get("error")) == ("REJECTED", "ObjectNotFound"):
            return ok(name, "REJECTED with ObjectNotFound")
        return wrong(name, _unexpected(event), "see that SerializeImage's role allows s3:ListBucket")

    def _duplicates(self, uploads: Sequence[Upload]) -> Iterator[Check]:
        """Start every photo again as a repeated event would: nothing may change."""
        finished = [(upload, self._deployment.record(upload)) for upload in uploads if self._events(upload)]
        counts = {upload.uri: len(self._events(upload)) for upload, _ in finished}
        arns = [self._deployment.start(s3_key=u.key, version_id=u.version) for u, _ in finished]
        for arn in arns:
            self._wait_for_end(arn)
        quiet_ends = time.monotonic() + QUIET_S
        self._wait(lambda: time.monotonic() > quiet_ends, QUIET_S + 1)
        again = [
            upload.sample.name for upload, _ in finished if len(self._events(upload)) > counts[upload.uri]
        ]
        changed = [
            upload.sample.name for upload, before in finished if self._deployment.record(upload) != before
        ]
        messages = list(self._deployment.review_messages())
        for _, receipt in messages:
            self._deployment.dismiss(receipt)
        problems = [
            f"{what} for {', '.join(names)}"
            for what, names in (
                ("a second event", again),
                ("another record", changed),
                ("a second review message", [facts["object_uri"] for facts, _ in messages]),
            )
            if names
        ]
        if problems:
            yield wrong("duplicate event", "; ".join(problems), "report it with this output: it is a bug")
        else:
            yield ok("duplicate event", f"{len(finished)} repeated executions changed nothing")

    def _wait_for_end(self, arn: str) -> None:
        deadline = time.monotonic() + self._limits.photo
        while time.monotonic() < deadline:
            execution = self._deployment.execution(arn)
            if execution is None or execution["status"] != "RUNNING":
                return
            self._deployment.listen()

    def _burst(self) -> Check:
        name = f"{BURST} photos at once"
        uploads = [
            self._deployment.upload(self._samples[0], f"burst-{number}.jpg") for number in range(BURST)
        ]
        started = uploads[0].started
        self._wait(lambda: all(self._events(upload) for upload in uploads), self._limits.photo)
        outcomes = [events[0]["outcome"] for upload in uploads if (events := self._events(upload))]
        if outcomes == [self._samples[0].outcome] * BURST:
            return ok(name, f"all {outcomes[0]} after {time.monotonic() - started:.1f} s")
        lost = BURST - len(outcomes)
        return wrong(
            name,
            f"{', '.join(outcomes) or 'no outcomes'}" + (f", {lost} without an outcome" if lost else ""),
            "see the endpoint's concurrency, and Lambda's in `python -m operations doctor`",
        )


def _unexpected(event: Any) -> str:
    error = ": ".join(filter(None, [event.get("error"), event.get("cause")]))
    sure = "" if event.get("confidence") is None else f" {event['label']} {event['confidence']:.3f}"
    return f"ended {event['outcome']}{sure} {error}".strip()


def _advice(sample: Sample, event: Any) -> str:
    if {sample.outcome, event["outcome"]} == {"ACCEPTED", "LOW_CONFIDENCE"}:
        return (
            f"the threshold is {event.get('threshold')}: see the parameter ConfidenceThreshold and the model "
            "behind the endpoint; --accepted and --doubtful name photos of your own"
        )
    return "see the execution in Step Functions, and `python -m operations doctor`"
