"""Every test that docs/promises.md names exists."""

import ast
import re

import pytest

from tests.support.sam_app import ROOT

PAGE = (ROOT / "docs" / "promises.md").read_text(encoding="utf-8")
ROWS = [line.split("|")[1:-1] for line in PAGE.splitlines() if line.startswith("| ")][1:]
NAMED = sorted(set(re.findall(r"`(tests/[^`]+)`", PAGE)))


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0].strip()[:40])
def test_every_promise_names_how_it_is_tested_and_which_tests(row: list[str]) -> None:
    promise, how, tests = (cell.strip() for cell in row)
    assert promise
    assert how
    assert tests.startswith("`tests/")


@pytest.mark.parametrize("name", NAMED)
def test_every_named_test_exists(name: str) -> None:
    path, _, function = name.partition("::")
    assert (ROOT / path).exists()
    if function:
        tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
        assert function in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


def test_the_fault_table_has_the_rows_that_the_page_speaks_of() -> None:
    from tests.faults.rows import ROWS as FAULTS  # noqa: PLC0415

    services = {fault["service"] for row in FAULTS for fault in row.faults}
    assert services == {"sagemaker", "s3", "lambda", "dynamodb", "sqs", "events", "rule"}
    assert len(FAULTS) >= 35
