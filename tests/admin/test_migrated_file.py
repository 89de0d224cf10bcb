"""Files that `migrate` writes: whole, or not there."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from aetherflow.admin.migrated_file import migrate, write_beside, write_in_place
from aetherflow.errors import UsageError

OLD = "flow: {id: f}\njobs:\n- id: a\n  steps: [{id: s, type: check_items, inputs: {items: [a]}}]\n"


def test_a_full_disk_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "flow.yaml"
    path.write_text(OLD)
    migration = migrate(path, tmp_path, {})

    def fail(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    for written in range(2):  # the new file, then the copy of the old one
        left = [written]

        def sync(descriptor: int, left: list[int] = left) -> None:
            left[0] -= 1
            if left[0] < 0:
                fail(descriptor)

        monkeypatch.setattr(os, "fsync", sync)
        with pytest.raises(UsageError, match="No space left"):
            write_in_place(migration, path, {})
        assert [file.name for file in tmp_path.iterdir()] == ["flow.yaml"]
        assert path.read_text() == OLD
    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(UsageError, match="No space left"):
        write_beside(migration, tmp_path / "new.yaml", {})
    assert [file.name for file in tmp_path.iterdir()] == ["flow.yaml"]
