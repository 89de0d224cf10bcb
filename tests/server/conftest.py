from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from aetherflow import registry
from tests.runs.run_parts import ACTIONS, PROBE, Place


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    monkeypatch.setattr(registry, "STEPS", {**registry.STEPS, "probe": PROBE})
    ACTIONS.clear()
    yield Place(tmp_path)
    ACTIONS.clear()
