from __future__ import annotations

from pathlib import Path

import pytest

from tests.store.clock_double import FakeClock


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "aetherflow.sqlite"


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()
