"""Excerpts of flow and scheduler files do not show the addresses of webhooks, however wrong the file is."""

from __future__ import annotations

from pathlib import Path

import pytest

from aetherflow.errors import InvalidInput
from aetherflow.runs.load_flow import load_checked_flow
from aetherflow.server.schedule_files import check_schedule_file
from aetherflow.spec.load import read_flow
from aetherflow.spec.messages import TEST_JOB

ENTRIES = [
    '{to: webhok, url: "https://chat.example.org/canary-of-the-chat"}',
    '{to: webhook, ur: "https://chat.example.org/canary-of-the-chat"}',
    '{to: webhook, url: "https://chat.example.org/canary-of-the-chat?key=canary-of-the-key", on: [x]}',
]


@pytest.mark.parametrize("entry", ENTRIES)
def test_a_wrong_entry_of_a_flow_is_shown_without_its_address(entry: str, tmp_path: Path) -> None:
    file = tmp_path / "flow.yaml"
    file.write_text(f"version: 1\nflow:\n  id: a\n  notify:\n    - {entry}\njobs: []\n")
    with pytest.raises(InvalidInput) as tested:
        load_checked_flow(file, {}, job=f"{TEST_JOB}own")
    for found in (load_checked_flow(file, {}).diagnostics, tested.value.diagnostics, read_flow(file)[1]):
        assert any("***" in one.excerpt for one in found)
        assert "canary" not in repr(found)


@pytest.mark.parametrize("place", ["notify: [{}]\nitems: []", "items: [{{id: b, notify: [{}]}}]"])
@pytest.mark.parametrize("entry", ENTRIES)
def test_a_wrong_entry_of_a_scheduler_file_is_shown_without_its_address(
    entry: str, place: str, tmp_path: Path
) -> None:
    file = tmp_path / "scheduler.yaml"
    file.write_text(f"version: 1\nid: a\n{place.format(entry)}\n")
    found = check_schedule_file(file).diagnostics
    assert any("***" in one.excerpt for one in found)
    assert "canary" not in repr(found)
