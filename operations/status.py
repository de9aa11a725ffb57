"""How a deployed stack stands and what to do next, by at most about 60 requests, whatever goes on."""

import re
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from commandline.terminal import plural
from operations.checks import Check, Status, ok, run_checks, wrong
from operations.executions import Attempts, in_progress, logged
from operations.results import Record, ResultsTable
from operations.stack import Stack

_PERIOD: Final = timedelta(hours=1)
_KEPT_S: Final = 8.0
_MOST_FAILED: Final = 100  # records that are read
_WITHOUT_RULE: Final = {
    "PhotoUploadedRule": ("uploads start no workflow", "scones redrive --missing"),
    "ReviewRule": ("doubtful photos do not come to review", "scones redrive --reviews"),
}
_QUEUES: Final = {
    "review queue": ("ReviewQueueUrl", "photo", ""),
    "undelivered events": ("UndeliveredEventsQueueUrl", "upload", "scones redrive --missing"),
    "dead letters": ("ReviewDeadLetterQueueUrl", "review message", "scones review"),
}
_PARTS: Final = (  # what fails, by its error and the state of the workflow
    (r"EndpointBusy .*", "endpoint", "throttles"),
    (r"EndpointUnavailable .*", "endpoint", "does not answer"),
    (r"Endpoint.*", "endpoint", "does not answer as agreed"),
    (r"Object.*", "photo bucket", "does not let photos be read"),
    (r"Storage.*", "photo bucket", "does not answer"),
    (r".+ (RecordOutcome|MarkDelivered)", "results table", "takes no outcomes"),
    (r".* PublishOutcome", "event bus", "takes no outcomes"),
    (r".*", "functions", "do not work"),
)


class Situation:
    """How a stack stands."""

    def __init__(self, stack: Stack) -> None:
        self._stack, self._table = stack, ResultsTable(stack)
        self._lock, self._shown, self._asked = threading.Lock(), dict[str, Any](), float("-inf")

    def checks(self) -> Iterator[Check]:
        """Say how everything stands."""
        return run_checks(self.photos, self.failed, self.rules, self.queues, self.alarms, self.model)

    def trouble(self) -> list[str]:
        """Return what keeps photos from their outcomes now, a sentence each."""
        checks = run_checks(self.photos, self.rules)
        wrong = (check for check in checks if check.status is Status.WRONG)
        return [f"the {check.name} {check.detail}; next: {check.advice}" for check in wrong]

    def banner(self) -> dict[str, Any]:
        """Return what is wrong, for pages, which share an answer for some seconds."""
        with self._lock:
            if time.monotonic() - self._asked >= _KEPT_S:
                wrong = [asdict(check) for check in self.checks() if check.status is Status.WRONG]
                self._shown, self._asked = {"wrong": wrong}, time.monotonic()
            return self._shown

    def photos(self) -> Iterator[Check]:
        """Yield what is in progress, and each part that does not work for it."""
        count, found = in_progress(self._stack)
        steps = Counter(one.step or "the beginning" for one in found)
        where = ", ".join(f"{number} in {step}" for step, number in steps.items())
        some = f" (of {len(found)} of them)" if count and count > len(found) else ""
        counted = "EXPRESS does not list what is" if count is None else str(count)
        yield ok("photos", f"{counted} in progress{f': {where}' if where else ''}{some}")
        parts: dict[tuple[str, str], list[Attempts]] = {}
        for one in (*found, *logged(self._stack)):
            if one.errors:
                parts.setdefault(_part(one.error, one.step), []).append(one)
        for (part, trouble), failing in parts.items():
            yield wrong(part, f"{trouble}: {_retries(failing)}", self._advice(part, failing[-1]))

    def failed(self) -> Iterator[Check]:
        """Yield the errors with which a service failed photos in the last hour."""
        since = self._stack.now() - _PERIOD
        records = list(self._table.find(outcome="FAILED", since=since, newest=_MOST_FAILED))
        errors: dict[str, list[Record]] = {}
        for record in records:
            errors.setdefault(record.error or "", []).append(record)
        for error, same in errors.items():
            part, trouble = _part(error)
            count = f"{plural(len(same), 'photo')} FAILED{' or more' if len(same) == _MOST_FAILED else ''}"
            found = f"{trouble}: {count} with {error}, the last at {_clock(same[0].recorded_at)}"
            advice = self._advice(part, Attempts(error=error))
            yield wrong(part, found, f"{advice}, and when it works again: scones redrive --since 1h")
        if not records:
            yield ok("failed photos", "none in the last hour")

    def rules(self) -> Iterator[Check]:
        """Yield the rules that are disabled."""
        rules, enabled = self._stack.resources_of("AWS::Events::Rule"), 0
        events = self._stack.client("events")
        for name, rule in rules.items():
            try:
                state = events.describe_rule(Name=rule)["State"].lower()
            except events.exceptions.ResourceNotFoundException:
                state = "missing"
            enabled += state == "enabled"
            if state != "enabled":
                loss, again = _WITHOUT_RULE.get(name, ("outcomes and alarms miss photos", ""))
                advice = f"aws events enable-rule --name {rule}{', then ' if again else ''}{again}"
                yield wrong(name, f"is {state}: {loss}", advice)
        if enabled == len(rules):
            yield ok("rules", f"{enabled} enabled")

    def queues(self) -> Iterator[Check]:
        """Yield what waits in the queues; what is in the last two is wrong."""
        for name, (output, noun, advice) in _QUEUES.items():
            count = self._stack.messages(output)
            found = plural(count, noun) if count else "empty"
            yield wrong(name, found, advice) if count and advice else ok(name, found)

    def alarms(self) -> Iterator[Check]:
        """Yield each alarm that is on, with its own advice, and who gets their mail."""
        names = {alarm: name for name, alarm in self._stack.resources_of("AWS::CloudWatch::Alarm").items()}
        answer = self._stack.client("cloudwatch").describe_alarms(AlarmNames=list(names))["MetricAlarms"]
        raised = [one for one in answer if one["StateValue"] == "ALARM"]
        for one in raised:
            since = _clock(one["StateUpdatedTimestamp"])
            yield wrong(names[one["AlarmName"]], f"in alarm since {since}", one["AlarmDescription"])
        topic = self._stack.output("AlertTopicArn")
        subscribed = self._stack.client("sns").list_subscriptions_by_topic(TopicArn=topic)["Subscriptions"]
        pending = {"PendingConfirmation": " (not confirmed)"}
        addresses = [f"{one['Endpoint']}{pending.get(one['SubscriptionArn'], '')}" for one in subscribed]
        states = Counter(one["StateValue"] for one in answer)
        counted = ", ".join(f"{number} {state}" for state, number in sorted(states.items()))
        mail = ", ".join(addresses) or "nobody (parameter AlertEmail)"
        yield ok("alarms", f"{counted}; mail to {mail}")

    def model(self) -> Iterator[Check]:
        """Yield which model answers, and since when."""
        endpoint = self._stack.endpoint()
        if endpoint.get("EndpointStatus") not in {"InService", "Updating", "SystemUpdating"}:
            status = endpoint.get("EndpointStatus", "missing")
            name = self._stack.output("EndpointName")
            yield wrong("model", f"endpoint {name}: {status}", self._advice("endpoint", Attempts()))
            return
        day = self._stack.now() - timedelta(days=1)
        newest = [
            record
            for outcome in ("ACCEPTED", "LOW_CONFIDENCE")
            for record in self._table.find(outcome=outcome, since=day, newest=1)
        ]
        serving = endpoint["EndpointConfigName"]
        answer = f"{serving} serves since {_clock(endpoint['LastModifiedTime'])}"
        if last := max(newest, key=lambda record: record.recorded_at or "", default=None):
            other = f" by {last.model_version}" if last.model_version != serving else ""
            answer += f"; the last answer at {_clock(last.recorded_at)}{other}"
        yield ok("model", answer)

    def _advice(self, part: str, failing: Attempts) -> str:
        """Return the next command for a part that does not work."""
        if part == "endpoint":
            exists = bool(self._stack.endpoint())
            if exists and failing.error == "EndpointContractViolation":
                return "scones doctor"
            command = "status" if exists else "deploy"
            return f"scones model {command} --endpoint-name {self._stack.output('EndpointName')}"
        if part == "functions":
            name = re.sub(r"(?<!^)(?=[A-Z])", "-", failing.step).lower() or "serialize-image"
            return f"aws logs tail /scones/{self._stack.name}/{name} --since 15m"
        bucket, table = (self._stack.output(name) for name in ("PhotoBucketName", "ResultsTableName"))
        return {
            "photo bucket": f"aws s3api get-bucket-policy --bucket {bucket}",
            "results table": f"aws dynamodb describe-table --table-name {table}",
            "event bus": "scones redrive --missing, once it works again: until then it is tried again",
        }[part]


def _part(error: str, step: str = "") -> tuple[str, str]:
    """Return which part fails, and how."""
    return next((part, how) for pattern, part, how in _PARTS if re.fullmatch(pattern, f"{error} {step}"))


def _retries(failing: Sequence[Attempts]) -> str:
    errors = ", ".join(dict.fromkeys(one.error for one in failing))
    again = min((one.again for one in failing if one.again), default=None)
    gives_up = min((one.gives_up for one in failing if one.gives_up), default=None)
    text = f"{errors}, {plural(sum(one.errors for one in failing), 'time')}"
    text += f" since {_clock(min(one.since for one in failing if one.since))}"
    text += f", tried again by {_clock(again)}" if again else ", tried again now"
    return text + (f", given up at {_clock(gives_up)}" if gives_up else "")


def _clock(time: datetime | str | None) -> str:
    """Return a time as a clock here shows it, with its day if that is not today."""
    now = datetime.now(UTC).astimezone()
    local = (datetime.fromisoformat(time) if isinstance(time, str) else time or now).astimezone()
    return f"{local:%H:%M:%S}" if local.date() == now.date() else f"{local:%Y-%m-%d %H:%M}"
