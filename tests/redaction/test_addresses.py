"""Excerpts of flow and scheduler files do not show the addresses of webhooks, however wrong the file is."""

from __future__ import annotations

from pathlib import Path

import pytest

from aetherflow.admin.run_report.flow_as_it_ran import ReadFlow, known_secrets
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


def test_a_file_that_cannot_be_parsed_is_shown_without_the_path_of_an_address(tmp_path: Path) -> None:
    file = tmp_path / "flow.yaml"
    file.write_text(
        'flow:\n  notify:\n    - {to: webhook, url: "https://chat.example.org/canary?key=canary}\n'
    )
    with pytest.raises(InvalidInput) as broken:
        load_checked_flow(file, {})
    assert "canary" not in repr(broken.value.diagnostics)
    assert any("***" in one.excerpt for one in broken.value.diagnostics)


def test_the_page_of_a_run_shows_the_flow_without_its_addresses(tmp_path: Path) -> None:
    file = tmp_path / "flow.yaml"
    entry = '{to: webhook, url: "https://chat.example.org/canary-of-the-chat"}'
    file.write_text(f"version: 1\nflow:\n  id: a\n  notify:\n    - {entry}\njobs: []\n")
    document, _ = read_flow(file)
    masked = known_secrets(ReadFlow(file, document), {}).text(file.read_text())
    assert "canary" not in masked
    assert "to: webhook" in masked
