"""The checks of `scones smoke`: photos with expected outcomes, and what else a healthy deployment does."""

import tempfile
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Final

from botocore.exceptions import ClientError

from model_build.data.samples import write_samples
from operations.checks import Check, UnansweredError, ask, ok, unknown, wrong
from operations.executions import has_ended, is_express
from operations.photos.sources import PREFIX
from operations.photos.watcher import Event, Sent, Watcher
from operations.proofs import matches
from operations.status import Situation

CANARY_S: Final = 360  # until the first outcome: a new bucket sends no events for about five minutes
CANARY_PAUSE_S: Final = 15  # between two uploads in that time
PHOTO_S: Final = 180
LOG_S: Final = 60
QUIET_S: Final = 10  # how long a duplicate may take to publish what it must not
SMOKE: Final = f"{PREFIX}smoke/"  # the rule of the review queue leaves these out
BURST: Final = 5
# A key of the caller's own (SSE-C): nobody can read the object without it, whatever the role allows
# (https://docs.aws.amazon.com/AmazonS3/latest/userguide/ServerSideEncryptionCustomerKeys.html).
_CUSTOMER_KEY: Final = {
    "SSECustomerAlgorithm": "AES256",
    "SSECustomerKey": "smoke-test-key-of-32-bytes-long!",
}
_MISSING: Final = "never-uploaded.jpg"
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


class SmokeTest:
    """Proves a deployment with photos of its own under `prefix`, which `clean_up` removes."""

    def __init__(self, watcher: Watcher, samples: Sequence[Sample]) -> None:
        self.prefix = f"{SMOKE}{uuid.uuid4().hex[:12]}/"
        self._watcher, self._samples = watcher, samples
        self._stack, self._ask = watcher.stack, partial(ask, watcher.stack.session)

    def run(self) -> Iterator[Check]:
        """Make every check; without a canary only that, since nothing would start the others."""
        canary = self._canary()
        yield canary
        if canary.status != "ok":
            return
        sent = [(sample, self._upload(sample)) for sample in self._samples]
        for sample, one in sent:
            yield from self._outcome(sample, one)
        ended = {sample.outcome: one for sample, one in sent if one.events}
        # The error of the photo that FAILED, which names the object, is always logged.
        for name, check, outcome in (
            ("review queue", self._review, "LOW_CONFIDENCE"),
            ("log", self._log, "FAILED"),
            ("trace", self._trace, "ACCEPTED"),
        ):
            if outcome not in ended:
                continue
            try:
                yield check(name, ended[outcome])
            except UnansweredError as error:
                yield unknown(name, str(error))
            except ClientError as error:
                yield wrong(name, str(error), "deploy the stack again")
        yield self._missing_object()
        yield self._duplicates(list(ended.values()))
        yield self._burst()

    def clean_up(self) -> int:
        """Delete this run's objects and records; return how many versions of objects."""
        s3, bucket, removed = self._stack.client("s3"), self._watcher.bucket, 0
        missing = self._watcher.events(f"s3://{bucket}/{self.prefix}{_MISSING}")
        records = {(event["object_uri"], event["object_version"]) for event in missing}
        for one in self._stack.stored(self.prefix):
            s3.delete_object(Bucket=bucket, Key=one["Key"], VersionId=one["VersionId"])
            records.add((f"s3://{bucket}/{one['Key']}", one["VersionId"]))
            removed += 1
        for uri, version in records:
            self._watcher.results.delete(uri, version)
        return removed

    def _upload(self, sample: Sample, name: str = "") -> Sent:
        return self._watcher.upload(self.prefix + (name or sample.name), sample.content, **sample.options)

    def _canary(self) -> Check:
        """Upload photos until one has an outcome; a new bucket sends no events at first."""
        name, started, sent = "upload event", time.monotonic(), list[Sent]()
        while (seconds := time.monotonic() - started) < CANARY_S:
            sent.append(self._upload(self._samples[0], f"canary-{len(sent)}.jpg"))
            if self._watcher.wait(lambda: any(one.events for one in sent), CANARY_PAUSE_S):
                seconds = time.monotonic() - started
                return ok(name, f"upload {len(sent)} had an outcome {seconds:.0f} s after the first")
        return wrong(
            name,
            f"no upload had an outcome within {seconds:.0f} s{self._trouble()}",
            "see the queue UndeliveredEventsQueue and the bucket's EventBridge notifications, and try again: "
            "a new bucket sends no events for about five minutes",
        )

    def _trouble(self) -> str:
        return "".join(f"; {one}" for one in Situation(self._stack).trouble())

    def _outcome(self, sample: Sample, one: Sent) -> Iterator[Check]:
        name = f"{sample.outcome} {sample.name}"
        while (found := self._watcher.outcome(one)) is None:
            self._watcher.listen()
        if not one.events:
            late = f"no outcome within {self._watcher.timeout_s:.0f} s{self._trouble()}"
            yield wrong(name, late, "see `scones status`")
            return
        if found.problem:
            yield wrong(f"{name}: consistency", found.problem, _BUG)
        event = one.events[0]
        if (event["outcome"], event.get("error")) == (sample.outcome, sample.error):
            agreed = f"after {found.seconds:.1f} s; table, event and execution agree"
            yield ok(name, f"{event['outcome']}{_sure(event)} {agreed}")
        elif {sample.outcome, event["outcome"]} == {"ACCEPTED", "LOW_CONFIDENCE"}:
            yield wrong(
                name,
                _unexpected(event),
                f"the threshold is {event.get('threshold')}: see the parameter ConfidenceThreshold and the "
                "model behind the endpoint; --accepted and --doubtful name photos of your own",
            )
        else:
            yield wrong(name, _unexpected(event), "see the execution in Step Functions, and `scones doctor`")

    def _review(self, name: str, one: Sent) -> Check:
        """Check that the outcome would reach the review queue, were it not this test's own.

        Nothing is received: that takes photos from the reviewers, and counts towards the dead-letter queue.
        """
        request = {"QueueUrl": self._stack.output("ReviewQueueUrl"), "AttributeNames": ["QueueArn", "Policy"]}
        queue = self._ask("sqs", "GetQueueAttributes", **request)["Attributes"]
        names = self._ask("events", "ListRuleNamesByTarget", TargetArn=queue["QueueArn"]).get("RuleNames", [])
        rules = [self._ask("events", "DescribeRule", Name=rule) for rule in names]
        detail = one.events[0]
        photo = {**detail, "object_uri": detail["object_uri"].replace(f"/{SMOKE}", f"/{PREFIX}")}
        fitting = [rule for rule in rules if matches(self._stack.session, rule, photo)]
        enabled = [rule for rule in fitting if rule["State"] == "ENABLED"]
        if enabled and "events.amazonaws.com" in queue.get("Policy", ""):
            return ok(name, f"the rule {enabled[0]['Name']} sends outcomes like that of {one.name} to it")
        if enabled:
            return wrong(name, "its policy does not let EventBridge send to it", "deploy the stack again")
        if not fitting:
            return wrong(name, "no rule sends LOW_CONFIDENCE outcomes to it", "deploy the stack again")
        rule, state = fitting[0]["Name"], fitting[0]["State"]
        return wrong(name, f"the rule {rule} is {state}", f"aws events enable-rule --name {rule}")

    def _log(self, name: str, one: Sent) -> Check:
        group = f"/scones/{self._stack.name}/serialize-image"
        uploaded = self._stack.now().timestamp() - one.seconds()
        request: dict[str, Any] = {"logGroupName": group, "filterPattern": f'"{one.key}"'}
        request["startTime"] = int(1000 * (uploaded - 600))

        def found() -> bool:
            page = self._ask("logs", "FilterLogEvents", **request)
            while not page.get("events") and page.get("nextToken"):  # a page may be empty and have a token
                page = self._ask("logs", "FilterLogEvents", **request, nextToken=page["nextToken"])
            return bool(page.get("events"))

        if self._watcher.wait(found, LOG_S):
            return ok(name, f"{group} names the photo")
        return wrong(name, f"{group} does not name the photo within {LOG_S} s", "see the function's role")

    def _trace(self, name: str, one: Sent) -> Check:
        arn, header = one.events[0]["execution_arn"], dict[str, str]()
        if not is_express(arn):  # EXPRESS keeps no executions
            execution = self._ask("stepfunctions", "DescribeExecution", executionArn=arn)
            parts = execution.get("traceHeader", "").split(";")
            header = {key: value for key, _, value in (part.partition("=") for part in parts)}
        if header.get("Sampled") != "1":
            return unknown(name, "X-Ray did not sample this execution (one a second and 5 % are)")
        trace = {"TraceIds": [header["Root"]]}
        if self._watcher.wait(
            lambda: bool(self._ask("xray", "BatchGetTraces", **trace).get("Traces")), LOG_S
        ):
            return ok(name, f"X-Ray has {header['Root']}")
        return wrong(name, f"X-Ray has no {header['Root']} within {LOG_S} s", "see the workflow's role")

    def _missing_object(self) -> Check:
        name, uri = "missing object", self._watcher.watch(self.prefix + _MISSING)
        self._watcher.start(self.prefix + _MISSING)
        if not self._watcher.wait(lambda: self._watcher.events(uri), PHOTO_S):
            return wrong(name, f"no outcome within {PHOTO_S} s", "see its execution")
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
            self._watcher.wait(partial(has_ended, self._stack, arn), PHOTO_S)
        quiet = time.monotonic() + QUIET_S
        self._watcher.wait(lambda: time.monotonic() > quiet, QUIET_S + 1)
        problems = []
        for one, (record, events) in zip(ended, before, strict=True):
            if len(one.events) > events:
                problems.append(f"a second event for {one.name}")
            if results.get(one.uri, one.version) != record:
                problems.append(f"another record for {one.name}")
        if problems:
            return wrong("duplicate event", "; ".join(problems), _BUG)
        return ok("duplicate event", f"{len(ended)} repeated executions changed nothing")

    def _burst(self) -> Check:
        name, expected = f"{BURST} photos at once", self._samples[0].outcome
        sent = [self._upload(self._samples[0], f"burst-{number}.jpg") for number in range(BURST)]
        self._watcher.wait(lambda: all(one.events for one in sent), PHOTO_S)
        outcomes = [one.events[0]["outcome"] for one in sent if one.events]
        if outcomes == [expected] * BURST:
            return ok(name, f"all {expected} after {sent[0].seconds():.1f} s")
        lost = f", {BURST - len(outcomes)} without an outcome" if len(outcomes) < BURST else ""
        advice = "see the endpoint's concurrency, and Lambda's in `scones doctor`"
        return wrong(name, f"{', '.join(outcomes) or 'no outcomes'}{lost}", advice)


def _sure(event: Event) -> str:
    return "" if event.get("confidence") is None else f" {event['label']} {event['confidence']:.3f}"


def _unexpected(event: Event) -> str:
    error = ": ".join(filter(None, [event.get("error"), event.get("cause")]))
    return f"ended {event['outcome']}{_sure(event)} {error}".strip()
