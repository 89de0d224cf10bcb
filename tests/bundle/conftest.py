"""What tests of bundles share."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.bundle.bundle_parts import Place


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """A source with three files, and nothing synced yet."""
    place = Place(tmp_path)
    place.write("flows/hello.yaml", "hello")
    place.write("flows/sub/deep.yaml", "deep")
    place.write("run.sh", "#!/bin/sh", mode=0o755)
    return place
