"""The run that the tests of observers are about, and when its events happened."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

AT = datetime(2026, 1, 2, 22, 14, 3, tzinfo=UTC)
RUN: dict[str, Any] = {"at": AT, "flow_id": "demo", "run_id": "r1"}
"""The fields of an event of the run."""
