"""Locks: one holder, named, and gone with its process."""

import os
from pathlib import Path

from localcloud.files import lock_holder, take_lock


def test_a_lock_has_one_holder_who_is_named(tmp_path: Path) -> None:
    path = tmp_path / "new" / "lock"

    file = take_lock(path)

    assert file is not None
    assert take_lock(path) is None
    assert lock_holder(path) == os.getpid()
    file.close()  # as the system does when a process ends, however it ends
    assert lock_holder(path) is None
    again = take_lock(path)
    assert again is not None
    again.close()


def test_asking_for_the_holder_creates_nothing(tmp_path: Path) -> None:
    assert lock_holder(tmp_path / "new" / "lock") is None
    assert list(tmp_path.iterdir()) == []


def test_what_a_crash_left_in_the_file_does_not_count(tmp_path: Path) -> None:
    (tmp_path / "lock").write_text("999999")
    assert lock_holder(tmp_path / "lock") is None
