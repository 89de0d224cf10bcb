"""The cluster of a test of failures, which may do harm to it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.dask.cluster import Cluster


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    """A cluster without workers; all that a test has started has ended after it."""
    with Cluster(tmp_path / "cluster") as started:
        yield started
