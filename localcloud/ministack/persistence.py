"""What ministack keeps, while it runs: what has been answered outlives a kill of every process.

ministack writes its state when it is stopped, and skips in silence what it cannot write. Here changes of the
tables' items are lines of a journal before they are made, messages are saved a second later, and photos are
files at once (see `localcloud.ministack.s3`). `SAVE`, and the end, save everything and begin a new journal.
`UNSAVED` stands beside the state until an end has saved all of it; it has the names of what it could not.

A write to a table and the condition on it are one step: executions write from their own threads, ministack
checks a condition before it writes, and of two executions of one photo, both published its outcome.
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Expressions.ConditionExpressions.html
"""

import errno
import functools
import json
import logging
import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from ministack import app as server
from ministack.core import persistence
from ministack.services import dynamodb, sqs

from localcloud.files import replace_text
from localcloud.ministack.repairs import Repairs, expect
from localcloud.state import SAVE, UNSAVED

REPAIRS: Final = Repairs()
KEEPING: Final = Repairs(when=persistence.PERSIST_STATE)
_ATTEMPTS: Final = 3  # a state that changes while it is copied is copied again
_MESSAGES_EVERY_S: Final = 1.0

_log: Final = logging.getLogger(__name__)
_encoder: Final = json.JSONEncoder(default=persistence._json_default)
Services = Mapping[str, Callable[[], Any]]


@REPAIRS.around(dynamodb, "_put_item", "data")
@REPAIRS.around(dynamodb, "_update_item", "data")
@REPAIRS.around(dynamodb, "_delete_item", "data")
@REPAIRS.around(dynamodb, "_batch_write_item", "data")
@REPAIRS.around(dynamodb, "_transact_write_items", "data")
def _write_alone(write: Callable[[Any], Any], data: Any) -> Any:
    with dynamodb._lock:  # under which expired items are removed, too
        return write(data)


class Journal:
    """Lines of JSON in a folder, in files that end when their content has been saved elsewhere.

    A line is handed to the operating system before `append` returns: the end of this process loses none.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._lock = threading.Lock()
        self.before = self.begin()

    def begin(self) -> list[Path]:
        """Go on in a new file; return the files before it, in order."""
        with self._lock:
            before = sorted(self._folder.glob("*.jsonl"))
            number = int(before[-1].stem) + 1 if before else 0
            self._file = (self._folder / f"{number:08}.jsonl").open("ab", buffering=0)
            return before

    def append(self, line: str) -> None:
        """Write a line, or raise an OSError and leave nothing of it."""
        data = line.encode() + b"\n"
        with self._lock:
            end = self._file.seek(0, 2)
            if self._file.write(data) != len(data):
                self._file.truncate(end)
                raise OSError(errno.ENOSPC, "the disk is full", self._file.name)


def lines(files: Iterable[Path]) -> Iterator[str]:
    """Yield the lines of a journal's files, without one whose end is missing: it was never answered."""
    for file in files:
        for line in file.read_text(encoding="utf-8").splitlines(keepends=True):
            if line.endswith("\n"):
                yield line


class State:
    """The state of ministack's services in a folder, a file each."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = threading.Lock()
        self.journal = Journal(folder.parent / "journal")
        self._unsaved = folder.parent / UNSAVED
        self._unsaved.touch()

    def save(self, services: Services) -> list[str]:
        """Save all services; return the names of those that could not be."""
        before = self.journal.begin()
        failed = [name for name, state in services.items() if not self._saved(name, state)]
        if "dynamodb" not in failed:
            for file in before:
                file.unlink(missing_ok=True)
        return failed

    def save_at_the_end(self, services: Services) -> None:
        """Save all services, and leave word of what could not be."""
        if failed := self.save(services):
            replace_text(self._unsaved, ", ".join(failed))
        else:
            self._unsaved.unlink(missing_ok=True)

    def keep_saving_messages(self) -> None:
        """Save the queues whenever they have changed, once they have been saved with the others."""
        last, messages = "", {name: getattr(sqs, f"_{name}") for name in sqs.get_state()}  # no copies
        while True:
            time.sleep(_MESSAGES_EVERY_S)
            with suppress(RuntimeError, OSError):  # it changed meanwhile, or the disk is full: the next time
                text = _encoder.encode(_versioned("sqs", messages))
                if text != last and (self._folder / "sqs.json").exists():
                    self._write("sqs", [text])
                    last = text

    def _saved(self, name: str, state: Callable[[], Any]) -> bool:
        for _ in range(_ATTEMPTS):
            try:
                if (found := state()) is not None:
                    self._write(name, _encoder.iterencode(_versioned(name, found)))
            except Exception:  # noqa: BLE001 - each service has its own
                _log.exception("%s is not saved", name)
            else:
                return True
        return False

    def _write(self, name: str, text: Iterable[str]) -> None:
        """Write a file in pieces: its text may be larger than memory."""
        with self._lock:
            self._folder.mkdir(parents=True, exist_ok=True)
            replace_text(self._folder / f"{name}.json", text)


def _versioned(name: str, state: Any) -> dict[str, Any]:
    return {"__ministack_format__": persistence._state_format_version(name), "payload": state}


@functools.cache
def _kept() -> State:
    """Return the state of this process."""
    return State(Path(persistence.STATE_DIR))


@KEEPING.step
def _save_when_asked() -> None:
    states: Any = getattr(server, "_build_persistence_save_dict", None)
    expect(callable(states) and server.save_all is persistence.save_all, "the state is saved in another way")
    state = _kept()
    signal.signal(SAVE, lambda *_: state.save(states()))
    server.save_all = state.save_at_the_end


_CHANGES: Final = (dynamodb._remove_item, dynamodb._set_item)  # of two values and of three


@KEEPING.around(dynamodb, "_remove_item", "table", "pk_val", "sk_val")
@KEEPING.around(dynamodb, "_set_item", "table", "pk_val", "sk_val", "item")
def _write_and_change(change: Callable[..., Any], table: Any, *how: Any) -> Any:
    _kept().journal.append(json.dumps([table["TableId"], *how], default=persistence._json_default))
    return change(table, *how)


@KEEPING.around(server, "_load_persisted_state")
def _go_on(load: Callable[[], None]) -> None:
    """Load the state, and what came after it was saved; let messages be received again."""
    load()
    tables = {table["TableId"]: table for table in dynamodb._tables.all_values()}
    for line in lines(_kept().journal.before):
        table, *how = json.loads(line, object_hook=persistence._json_object_hook)
        if table in tables:
            _CHANGES[len(how) - 2](tables[table], *how)
    for queue in sqs._queues.all_values():
        for message in queue["messages"]:
            if message["receipt_handle"]:  # whoever had received it ended with the last process
                message["visible_at"] = 0
    threading.Thread(target=_kept().keep_saving_messages, daemon=True).start()
