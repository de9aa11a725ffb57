"""Executions begin in their order; those that wait for something let others run, and go on first."""

import threading
from collections.abc import Callable

import pytest
from ministack.services import stepfunctions

from commandline.polling import Rhythm, poll
from localcloud.ministack.admission import REPAIRS, Admission

LONG_S = 30


class Calls:
    """Calls of one admission: what each did, in its order, and gates that hold them up."""

    def __init__(self, admission: Admission) -> None:
        self.admission, self.log = admission, list[str]()
        self.changed = threading.Condition()

    def note(self, what: str) -> None:
        """Add a line to the log."""
        with self.changed:
            self.log.append(what)
            self.changed.notify_all()

    def after(self, *what: str) -> list[str]:
        """Return the log once all of this is in it."""
        with self.changed:
            assert self.changed.wait_for(lambda: set(what) <= set(self.log), LONG_S), self.log
            return list(self.log)

    def start(self, name: str, *, wait: bool = False) -> Callable[[], None]:
        """Start a call that ends when the returned function is called, or that waits aside until then."""
        gate = threading.Event()

        def call() -> None:
            self.note(f"{name} begins")
            if wait:
                with self.admission.aside():
                    self.note(f"{name} waits")
                    assert gate.wait(LONG_S)
                self.note(f"{name} goes on")
            else:
                assert gate.wait(LONG_S)
            self.note(f"{name} ends")

        self.admission.thread(target=call, args=(), daemon=True).start()
        return gate.set


def test_calls_beyond_the_limit_begin_in_their_order() -> None:
    calls = Calls(Admission(2, 9))
    ends = [calls.start(name) for name in "abcd"]
    assert sorted(calls.after("a begins", "b begins")) == ["a begins", "b begins"]
    for end, follows in zip(ends, ["c begins", "d begins", "c ends", "d ends"], strict=True):
        end()
        calls.after(follows)
    begun = [line for line in calls.log if "begins" in line]
    assert begun[2:] == ["c begins", "d begins"]


def test_a_call_that_has_waited_goes_on_before_any_that_has_not_begun() -> None:
    calls = Calls(Admission(1, 9))
    wake = calls.start("outage", wait=True)
    end = calls.start("a")
    calls.after("outage waits", "a begins")
    calls.start("b")()
    wake()
    poll(lambda: calls.admission.returning, until=bool, timeout_seconds=LONG_S, rhythm=Rhythm(0.01, 0.01))
    end()
    log = calls.after("b ends", "outage ends")
    assert log.index("outage goes on") < log.index("b begins")


def test_those_that_wait_are_bounded_too() -> None:
    calls = Calls(Admission(1, 2))
    wakes = [calls.start(name, wait=True) for name in "abc"]
    calls.after("a waits", "b waits")
    assert "c begins" not in calls.log
    wakes[0]()
    calls.after("a ends", "c waits")
    for wake in wakes[1:]:
        wake()
    calls.after("b ends", "c ends")


def test_a_call_that_fails_leaves_its_room_to_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threading, "excepthook", lambda _: None)
    calls = Calls(Admission(1, 1))
    calls.admission.start(lambda: 1 // 0)  # type: ignore[arg-type, return-value]
    calls.start("a")()
    calls.after("a ends")


def test_who_was_not_admitted_waits_without_leaving() -> None:
    calls = Calls(Admission(1, 1))
    with calls.admission.aside():
        pass
    end = calls.start("a")
    calls.start("b")()
    assert calls.after("a begins") == ["a begins"]
    end()
    calls.after("b ends")


def test_executions_are_admitted(repair: Callable[..., None]) -> None:
    repair(REPAIRS, stepfunctions)
    assert "_admission" in stepfunctions._start_execution.__code__.co_names  # noqa: SLF001
