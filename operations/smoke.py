"""The checks of `scones smoke`: photos with expected outcomes, and what else a healthy deployment does."""

import tempfile
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Final

from botocore.exceptions import BotoCoreError, ClientError

from model_build.data.samples import write_samples
from operations.checks import Check, UnansweredError, ask, ok, unknown, wrong
from operations.executions import has_ended, is_express, logged
from operations.photos.sources import PREFIX
from operations.photos.steps import steps_of
from operations.photos.watcher import Event, Sent, Watcher
from operations.proofs import matches

CANARY_PAUSE_S: Final = 15  # between two uploads while a new bucket sends no events yet
SMOKE: Final = f"{PREFIX}smoke/"  # the rule of the review queue leaves these out
BURST: Final = 5
LOG_WAIT_S: Final = 60
QUIET_S: Final = 10  # how long a duplicate may take to publish what it must not
# A key of the caller's own (SSE-C): nobody can read the object without it, whatever the role allows
# (https://docs.aws.amazon.com/AmazonS3/latest/userguide/ServerSideEncryptionCustomerKeys.html).
_CUSTOMER_KEY: Final = {
    "SSECustomerAlgorithm": "AES256",
    "SSECustomerKey": "smoke-test-key-of-32-bytes-long!",
}
CANARY: Final = "upload event"
REVIEW: Final = "review queue"
_BUG: Final = "report it with this output: it is a bug"


@dataclass(frozen=True)
class Sample:
    """A photo and its expected outcome; `options` are more parameters of PutObject."""

    name: str
    content: bytes
    outcome: str
    error: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)


def draw_samples(accepted: Path | None = None, doubtful: Path | None = None) -> list[Sample]:
    """Return one sample of each outcome, ACCEPTED and LOW_CONFIDENCE first; drawn unless files are given."""
    with tempfile.TemporaryDirectory(prefix="smoke-") as folder:
        drawn = {path.name: path for path in write_samples(Path(folder))}
        good, doubt = accepted or drawn["bicycle.jpg"], doubtful or drawn["cat.jpg"]
        content = good.read_bytes()
        return [
            Sample(good.name, content, "ACCEPTED"),
            Sample(doubt.name, doubt.read_bytes(), "LOW_CONFIDENCE", "THRESHOLD_CONFIDENCE_NOT_MET"),
            Sample("text.png", drawn["not_an_image.png"].read_bytes(), "REJECTED", "UnsupportedImage"),
            Sample("unreadable.jpg", content, "FAILED", "ObjectNotReadable", _CUSTOMER_KEY),
        ]


@dataclass(frozen=True)
class Limits:
    """How long to wait, in seconds: for the first execution, one outcome, a readable log line or trace."""

    canary: float = 360
    photo: float = 180
    logs: float = LOG_WAIT_S


class SmokeTest:
    """Proves a deployment with photos of its own under `prefix`, which `clean_up` removes."""

    def __init__(self, watcher: Watcher, samples: Sequence[Sample], limits: Limits) -> None:
        self.prefix = f"{SMOKE}{uuid.uuid4().hex[:12]}/"
        self._watcher, self._samples, self._limits = watcher, samples, limits
        self._stack, self._session = watcher.stack, watcher.stack.session

    def run(self) -> Iterator[Check]:
        """Make every check; without a canary only that, since nothing would start the others."""
        canary = self._canary()
        yield canary
        if canary.status != "ok":
            return
        sent = [(sample, self._upload(sample)) for sample in self._samples]
        for sample, one in sent:
            yield from self._outcome(sample, one)
        ended = [(sample, one) for sample, one in sent if one.events]
        for sample, one in ended:
            if sample.outcome == "LOW_CONFIDENCE":
                yield self._guarded(REVIEW, partial(self._review, one))
            if sample.outcome == "FAILED":  # its error, which names the object, is always logged
                yield self._log(one)
        if ended:
            yield self._trace(ended[0][1])
        yield self._missing_object()
        yield self._duplicates([one for _, one in ended])
        yield self._burst()

    def clean_up(self) -> int:
        """Delete this run's objects and records; return how many versions of objects."""
        s3, bucket, removed = self._stack.client("s3"), self._watcher.bucket, 0
        missing = self._watcher.events(f"s3://{bucket}/{self.prefix}{_MISSING}")
        records = {(event["object_uri"], event["object_version"]) for event in missing}
        for page in s3.get_paginator("list_object_versions").paginate(Bucket=bucket, Prefix=self.prefix):
            for one in (*page.get("Versions", []), *page.get("DeleteMarkers", [])):
                s3.delete_object(Bucket=bucket, Key=one["Key"], VersionId=one["VersionId"])
                records.add((f"s3://{bucket}/{one['Key']}", one["VersionId"]))
                removed += 1
        for uri, version in records:
            self._watcher.results.delete(uri, version)
        return removed

    def _upload(self, sample: Sample, name: str = "") -> Sent:
        return self._watcher.upload(self.prefix + (name or sample.name), sample.content, **sample.options)

    # -------------------------------------------------------------------------------- the canary

    def _canary(self) -> Check:
        """Upload photos until one has an outcome; a new bucket sends no events at first."""
        started, sent = time.monotonic(), list[Sent]()
        while (seconds := time.monotonic() - started) < self._limits.canary:
            sent.append(self._upload(self._samples[0], f"canary-{len(sent)}.jpg"))
            if self._watcher.wait(lambda: any(one.events for one in sent), CANARY_PAUSE_S):
                seconds = time.monotonic() - started
                return ok(CANARY, f"upload {len(sent)} had an outcome {seconds:.0f} s after the first")
        return wrong(CANARY, *self._why_no_event(sent, seconds))

    def _why_no_event(self, sent: Sequence[Sent], seconds: float) -> tuple[str, str]:
        if sent and (error := self._last_error(sent[-1].key)):
            return (
                f"executions start, but none ended within {seconds:.0f} s; the last error is {error}",
                "correct what the error names; `scones doctor` checks the endpoint",
            )
        detail = f"no upload started an execution within {seconds:.0f} s"
        with suppress(UnansweredError, ClientError):
            for rule in self._rules(self._stack.output("ClassifyImageStateMachineArn")):
                if rule["State"] != "ENABLED":
                    return f"{detail}: the rule {rule['Name']} is {rule['State']}", _enable(rule)
        return detail, (
            "see the queue UndeliveredEventsQueue and the bucket's EventBridge notifications, and try again: "
            "a new bucket sends no events for about five minutes"
        )

    def _rules(self, target: str) -> list[dict[str, Any]]:
        names = ask(self._session, "events", "ListRuleNamesByTarget", TargetArn=target).get("RuleNames", [])
        return [ask(self._session, "events", "DescribeRule", Name=name) for name in names]

    def _last_error(self, key: str) -> str:
        """Return the last error of the running execution of a photo; empty if there is none."""
        workflow = self._stack.client("stepfunctions")
        machine = self._stack.output("ClassifyImageStateMachineArn")
        with suppress(ClientError, BotoCoreError):
            running = workflow.list_executions(stateMachineArn=machine, statusFilter="RUNNING")
            for arn in (execution["executionArn"] for execution in running["executions"]):
                if key in workflow.describe_execution(executionArn=arn)["input"]:
                    failed = [step for step in steps_of(self._stack, arn) if step.error]
                    return f"{failed[-1].error} in {failed[-1].name}" if failed else ""
            return ""
        with suppress(ClientError, BotoCoreError):  # EXPRESS: the log has what fails, not of which photo
            return next((f"{one.error} in {one.step}" for one in logged(self._stack) if one.error), "")
        return ""

    # -------------------------------------------------------------------------------- one photo

    def _outcome(self, sample: Sample, one: Sent) -> Iterator[Check]:
        name = f"{sample.outcome} {sample.name}"
        found = self._watcher.outcome(one)
        while found is None:
            self._watcher.listen()
            found = self._watcher.outcome(one)
        if not one.events:
            error = self._last_error(one.key) or "its execution has no error"
            yield wrong(
                name, f"no outcome within {self._limits.photo:.0f} s: {error}", "correct what it names"
            )
            return
        if found.problem:
            yield wrong(f"{name}: consistency", found.problem, _BUG)
        event = one.events[0]
        if (event["outcome"], event.get("error")) == (sample.outcome, sample.error):
            agreed = f"after {found.seconds:.1f} s; table, event and execution agree"
            yield ok(name, f"{event['outcome']}{_sure(event)} {agreed}")
        else:
            yield wrong(name, _unexpected(event), _advice(sample, event))

    def _review(self, one: Sent) -> Check:
        """Check that the outcome would reach the review queue, were it not this test's own.

        Nothing is received: that takes photos from the reviewers, and counts towards the dead-letter queue.
        """
        names, url = ["QueueArn", "Policy"], self._stack.output("ReviewQueueUrl")
        queue = ask(self._session, "sqs", "GetQueueAttributes", QueueUrl=url, AttributeNames=names)[
            "Attributes"
        ]
        rules = [rule for rule in self._rules(queue["QueueArn"]) if self._matches(rule, one.events[0])]
        enabled = [rule for rule in rules if rule["State"] == "ENABLED"]
        if enabled and "events.amazonaws.com" in queue.get("Policy", ""):
            return ok(REVIEW, f"the rule {enabled[0]['Name']} sends outcomes like that of {one.name} to it")
        if enabled:
            return wrong(REVIEW, "its policy does not let EventBridge send to it", "deploy the stack again")
        if rules:
            return wrong(REVIEW, f"the rule {rules[0]['Name']} is {rules[0]['State']}", _enable(rules[0]))
        return wrong(REVIEW, "no rule sends LOW_CONFIDENCE outcomes to it", "deploy the stack again")

    def _matches(self, rule: Mapping[str, Any], detail: Event) -> bool:
        photo = {**detail, "object_uri": detail["object_uri"].replace(f"/{SMOKE}", f"/{PREFIX}")}
        return matches(self._session, rule, photo)

    def _log(self, one: Sent) -> Check:
        group = f"/scones/{self._stack.name}/serialize-image"
        # Only what was logged since the upload; a page may be empty and have a token.
        request: dict[str, Any] = {
            "logGroupName": group,
            "filterPattern": f'"{one.key}"',
            "startTime": int(1000 * (self._stack.now().timestamp() - one.seconds() - 600)),
        }

        def found() -> bool:
            page = ask(self._session, "logs", "FilterLogEvents", **request)
            while not page.get("events") and page.get("nextToken"):
                page = ask(self._session, "logs", "FilterLogEvents", **request, nextToken=page["nextToken"])
            return bool(page.get("events"))

        return self._eventually("log", found, f"{group} names the photo")

    def _trace(self, one: Sent) -> Check:
        execution = self._watcher.execution(one.events[0]["execution_arn"]) or {}
        parts = (part.partition("=") for part in execution.get("traceHeader", "").split(";"))
        header = {name: value for name, _, value in parts}
        if header.get("Sampled") != "1":
            return unknown("trace", "X-Ray did not sample this execution (one a second and 5 % are)")

        def found() -> bool:
            return bool(ask(self._session, "xray", "BatchGetTraces", TraceIds=[header["Root"]]).get("Traces"))

        return self._eventually("trace", found, f"X-Ray has {header['Root']}")

    def _eventually(self, name: str, holds: Callable[[], bool], detail: str) -> Check:
        def check() -> Check:
            if self._watcher.wait(holds, self._limits.logs):
                return ok(name, detail)
            late = f"not within {self._limits.logs:.0f} s: {detail}"
            return wrong(name, late, "see the function's role")

        return self._guarded(name, check)

    def _guarded(self, name: str, check: Callable[[], Check]) -> Check:
        """Return what a check finds, or why it could not ask."""
        try:
            return check()
        except UnansweredError as error:
            return unknown(name, str(error))
        except ClientError as error:
            return wrong(name, str(error), "deploy the stack again")

    # -------------------------------------------------------------------------------- unusual events

    def _missing_object(self) -> Check:
        uri = self._watcher.watch(self.prefix + _MISSING)
        self._watcher.start(self.prefix + _MISSING)
        name = "missing object"
        if not self._watcher.wait(lambda: self._watcher.events(uri), self._limits.photo):
            return wrong(name, f"no outcome within {self._limits.photo:.0f} s", "see its execution")
        event = self._watcher.events(uri)[0]
        if (event["outcome"], event.get("error")) == ("REJECTED", "ObjectNotFound"):
            return ok(name, "REJECTED with ObjectNotFound")
        return wrong(name, _unexpected(event), "see that SerializeImage's role allows s3:ListBucket")

    def _duplicates(self, ended: Sequence[Sent]) -> Check:
        """Start every photo again as a repeated event would: nothing may change."""
        results = self._watcher.results
        before = [(results.get(one.uri, one.version), len(one.events)) for one in ended]
        started = [self._watcher.start(one.key, one.version) for one in ended]
        for arn in started:
            self._watcher.wait(partial(self._has_ended, arn), self._limits.photo)
        quiet = time.monotonic() + QUIET_S
        self._watcher.wait(lambda: time.monotonic() > quiet, QUIET_S + 1)
        problems = [
            f"{what} for {one.key.removeprefix(self.prefix)}"
            for one, (record, events) in zip(ended, before, strict=True)
            for what, happened in (
                ("a second event", len(one.events) > events),
                ("another record", results.get(one.uri, one.version) != record),
            )
            if happened
        ]
        if problems:
            return wrong("duplicate event", "; ".join(problems), _BUG)
        return ok("duplicate event", f"{len(ended)} repeated executions changed nothing")

    def _has_ended(self, arn: str) -> bool:
        if is_express(arn):
            return has_ended(self._stack, arn)
        return (self._watcher.execution(arn) or {}).get("status") != "RUNNING"

    def _burst(self) -> Check:
        name, expected = f"{BURST} photos at once", self._samples[0].outcome
        sent = [self._upload(self._samples[0], f"burst-{number}.jpg") for number in range(BURST)]
        self._watcher.wait(lambda: all(one.events for one in sent), self._limits.photo)
        outcomes = [one.events[0]["outcome"] for one in sent if one.events]
        if outcomes == [expected] * BURST:
            return ok(name, f"all {expected} after {sent[0].seconds():.1f} s")
        lost = f", {BURST - len(outcomes)} without an outcome" if len(outcomes) < BURST else ""
        advice = "see the endpoint's concurrency, and Lambda's in `scones doctor`"
        return wrong(name, f"{', '.join(outcomes) or 'no outcomes'}{lost}", advice)


_MISSING: Final = "never-uploaded.jpg"


def _enable(rule: Mapping[str, Any]) -> str:
    return f"aws events enable-rule --name {rule['Name']}"


def _sure(event: Event) -> str:
    return "" if event.get("confidence") is None else f" {event['label']} {event['confidence']:.3f}"


def _unexpected(event: Event) -> str:
    error = ": ".join(filter(None, [event.get("error"), event.get("cause")]))
    return f"ended {event['outcome']}{_sure(event)} {error}".strip()


def _advice(sample: Sample, event: Event) -> str:
    if {sample.outcome, event["outcome"]} == {"ACCEPTED", "LOW_CONFIDENCE"}:
        return (
            f"the threshold is {event.get('threshold')}: see the parameter ConfidenceThreshold and the model "
            "behind the endpoint; --accepted and --doubtful name photos of your own"
        )
    return "see the execution in Step Functions, and `scones doctor`"
