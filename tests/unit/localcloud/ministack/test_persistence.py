"""What outlives ministack's process: journal lines at once, the rest when saved; one write at a time."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from ministack.services import dynamodb

from localcloud.ministack import persistence
from localcloud.ministack.persistence import Journal, State, lines
from localcloud.state import UNSAVED


def failing() -> Any:
    raise RuntimeError("dictionary changed size during iteration")


def content(folder: Path) -> list[str]:
    return list(lines(sorted((folder / "journal").glob("*.jsonl"))))


def test_lines_are_there_in_order_for_the_next_process(tmp_path: Path) -> None:
    for number in range(3):
        journal = Journal(tmp_path / "journal")
        assert list(lines(journal.before)) == [f"{one}\n" for one in range(number)]
        journal.append(str(number))
    assert content(tmp_path) == ["0\n", "1\n", "2\n"]


def test_half_a_line_was_never_answered(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal")
    journal.append("whole")
    with next((tmp_path / "journal").iterdir()).open("a") as file:
        file.write("hal")
    assert content(tmp_path) == ["whole\n"]


class FullDisk:
    """A file on a disk that has room for a few bytes more."""

    name = "journal"

    def __init__(self, file: Any) -> None:
        self.seek, self.truncate, self._file = file.seek, file.truncate, file

    def write(self, data: bytes) -> int:
        """Write what there is room for."""
        return int(self._file.write(data[:3]))


def test_a_line_that_does_not_fit_is_refused_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = Journal(tmp_path / "journal")
    journal.append("before")
    with monkeypatch.context() as full:
        full.setattr(journal, "_file", FullDisk(journal._file))  # noqa: SLF001
        with pytest.raises(OSError, match="the disk is full"):
            journal.append("too long")
    journal.append("after")
    assert content(tmp_path) == ["before\n", "after\n"]


def test_saving_ends_the_journal_unless_the_tables_are_not_saved(tmp_path: Path) -> None:
    state = State(tmp_path / "state")
    state.journal.append("one")
    assert state.save({"dynamodb": failing, "sqs": lambda: {"a": 1}, "iam": lambda: None}) == ["dynamodb"]
    state.journal.append("two")
    assert content(tmp_path) == ["one\n", "two\n"]
    assert state.save({"dynamodb": dict}) == []
    assert content(tmp_path) == []
    assert {file.name for file in (tmp_path / "state").iterdir()} == {"sqs.json", "dynamodb.json"}
    assert (tmp_path / UNSAVED).exists(), "it still runs"


@pytest.mark.parametrize(
    ("services", "unsaved"),
    [({"sqs": dict}, None), ({"sqs": failing, "iam": dict, "sns": failing}, "sqs, sns")],
)
def test_the_end_leaves_word_of_what_is_not_saved(
    tmp_path: Path, services: dict[str, Callable[[], Any]], unsaved: str | None
) -> None:
    State(tmp_path / "state").save_at_the_end(services)
    marker = tmp_path / UNSAVED
    assert (marker.read_text() if marker.exists() else None) == unsaved


def test_a_state_that_changes_while_it_is_copied_is_copied_again(tmp_path: Path) -> None:
    copies = iter([failing, failing, dict])

    def copy() -> Any:
        return next(copies)()

    assert State(tmp_path / "state").save({"sqs": copy}) == []


KEY = {"photo": {"S": "a.jpg"}}
WRITES = {
    "_put_item": {"Item": KEY, "ConditionExpression": "attribute_not_exists(photo)"},
    "_update_item": {
        "Key": KEY,
        "UpdateExpression": "SET claimed = :yes",
        "ConditionExpression": "attribute_not_exists(claimed)",
        "ExpressionAttributeValues": {":yes": {"BOOL": True}},
    },
}


@pytest.mark.parametrize("write", WRITES)
def test_of_two_writes_on_a_condition_one_is_made(
    write: str, monkeypatch: pytest.MonkeyPatch, repair: Callable[..., None]
) -> None:
    set_item = dynamodb._set_item  # noqa: SLF001

    def slowly(*how: Any) -> None:
        time.sleep(0.05)  # as a journal on a busy disk
        set_item(*how)

    repair(persistence.REPAIRS, dynamodb)
    monkeypatch.setattr(dynamodb, "_set_item", slowly)
    table = {
        "TableName": f"photos{write}",
        "KeySchema": [{"AttributeName": "photo", "KeyType": "HASH"}],
        "AttributeDefinitions": [{"AttributeName": "photo", "AttributeType": "S"}],
        "BillingMode": "PAY_PER_REQUEST",
    }
    dynamodb._create_table(table)  # noqa: SLF001
    request = {"TableName": table["TableName"], **WRITES[write]}
    with ThreadPoolExecutor(4) as pool:
        statuses = sorted(answer[0] for answer in pool.map(getattr(dynamodb, write), [request] * 4))
    assert statuses == [200, 400, 400, 400]
