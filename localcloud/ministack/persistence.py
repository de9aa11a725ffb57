"""What ministack keeps, while it runs: what has been answered outlives a kill of every process.

ministack writes its state when it is stopped, and skips in silence what it cannot write. Here changes of the
tables' items are lines of a journal before they are made, messages are saved a second later, and photos are
files at once (see `localcloud.ministack.s3`). `SAVE`, and the end, save everything and begin a new journal.
`UNSAVED` stands beside the state until an end has saved all of it; it has the names of what it could not.
"""

import errno
import json
import logging
import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from localcloud.files import replace_text
from localcloud.ministack.errors import expect, wrap

UNSAVED: Final = "unsaved"
SAVE: Final = signal.SIGUSR1
"""Saves the state; ministack takes no other signal for it."""
_ATTEMPTS: Final = 3  # a state that changes while it is copied is copied again
_MESSAGES_EVERY_S: Final = 1.0

_log: Final = logging.getLogger(__name__)
Services = Mapping[str, Callable[[], Any]]


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
        """Write a line.

        Raises:
            OSError: it could not be written, and nothing of it is left.
        """
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
    """The state of ministack's services in a folder, a file each.

    Args:
        folder: where the files are.
        dump: yields pieces of a file's text for a service's name and state, which may be larger than memory.
    """

    def __init__(self, folder: Path, dump: Callable[[str, Any], Iterable[str]]) -> None:
        self._folder, self._dump = folder, dump
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

    def keep_saving(self, name: str, text_of: Callable[[], str]) -> None:
        """Save one service whenever its text has changed, once it has been saved with the others."""
        last = ""
        while True:
            time.sleep(_MESSAGES_EVERY_S)
            with suppress(RuntimeError, OSError):  # it changed meanwhile, or the disk is full: the next time
                text = text_of()
                if text != last and (self._folder / f"{name}.json").exists():
                    self._write(name, text)
                    last = text

    def _saved(self, name: str, state: Callable[[], Any]) -> bool:
        for _ in range(_ATTEMPTS):
            try:
                if (found := state()) is not None:
                    self._write(name, self._dump(name, found))
            except Exception:  # noqa: BLE001 - each service has its own
                _log.exception("%s is not saved", name)
            else:
                return True
        return False

    def _write(self, name: str, text: str | Iterable[str]) -> None:
        with self._lock:
            self._folder.mkdir(parents=True, exist_ok=True)
            replace_text(self._folder / f"{name}.json", text)


def apply() -> None:
    """Repair the imported ministack."""
    from ministack import app as server
    from ministack.core import persistence
    from ministack.services import dynamodb, sqs

    if not persistence.PERSIST_STATE:
        return
    states: Any = getattr(server, "_build_persistence_save_dict", None)
    expect(callable(states) and server.save_all is persistence.save_all, "the state is saved in another way")

    encoder = json.JSONEncoder(default=persistence._json_default)

    def wrapped(name: str, state: Any) -> dict[str, Any]:
        return {"__ministack_format__": persistence._state_format_version(name), "payload": state}

    def dump(name: str, state: Any) -> Iterable[str]:
        return encoder.iterencode(wrapped(name, state))

    messages = {name: getattr(sqs, f"_{name}") for name in sqs.get_state()}  # itself, where that copies

    def messages_text() -> str:
        return encoder.encode(wrapped("sqs", messages))

    state = State(Path(persistence.STATE_DIR), dump)
    replay = _journal_items(dynamodb, state.journal, persistence)

    def going_on(load: Callable[[], None]) -> Callable[[], None]:
        def load_all() -> None:
            load()
            replay()
            _show_received(sqs)
            threading.Thread(target=state.keep_saving, args=("sqs", messages_text), daemon=True).start()

        return load_all

    wrap(server, "_load_persisted_state", (), going_on)
    signal.signal(SAVE, lambda *_: state.save(states()))
    server.save_all = state.save_at_the_end


def _journal_items(dynamodb: Any, journal: Journal, persistence: Any) -> Callable[[], None]:
    """Write changes of items to a journal; return what applies those of the last process."""
    changes = [dynamodb._remove_item, dynamodb._set_item]

    def journaled(change: Callable[..., Any]) -> Callable[..., Any]:
        def write_and_change(table: Any, *how: Any) -> Any:
            journal.append(json.dumps([table["TableId"], *how], default=persistence._json_default))
            return change(table, *how)

        return write_and_change

    def replay() -> None:
        tables = {table["TableId"]: table for table in dynamodb._tables.all_values()}
        for line in lines(journal.before):
            table, *how = json.loads(line, object_hook=persistence._json_object_hook)
            if table in tables:
                changes[len(how) - 2](tables[table], *how)

    wrap(dynamodb, "_remove_item", ("table", "pk_val", "sk_val"), journaled)
    wrap(dynamodb, "_set_item", ("table", "pk_val", "sk_val", "item"), journaled)
    return replay


def _show_received(sqs: Any) -> None:
    """Let messages be received again: whoever had received them ended with the last process."""
    for queue in sqs._queues.all_values():
        for message in queue["messages"]:
            if message["receipt_handle"]:
                message["visible_at"] = 0
