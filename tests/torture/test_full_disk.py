"""A full disk: what was acknowledged stays, the message names the file, the run resumes later."""

from __future__ import annotations

import resource
import sqlite3
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.torture.processes import query
from tests.warm_start import COMMAND

STEPS = 400

pytestmark = pytest.mark.torture


def test_a_file_size_limit_stops_the_run_and_loses_nothing(
    tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    flow, database = tmp_path / "flow.yaml", tmp_path / "state.sqlite"
    steps = "".join(
        f"      - {{id: s{n}, type: check_items, inputs: {{items: [x]}}, outputs: {{o{n}: '{'x' * 500}'}}}}\n"
        for n in range(STEPS)
    )
    flow.write_text(
        f"version: 1\nflow: {{id: full, state: {{path: {database}}}, workspace: {{root: {tmp_path}/work}}}}\n"
        f"jobs:\n  - id: a\n    steps:\n{steps}"
    )

    def run(limit_bytes: int | None) -> subprocess.CompletedProcess[str]:
        def limit() -> None:
            if limit_bytes is not None:
                resource.setrlimit(resource.RLIMIT_FSIZE, (limit_bytes, limit_bytes))

        return subprocess.run(
            [COMMAND, "run", flow, "--run-id", "full"],
            check=False,
            capture_output=True,
            text=True,
            preexec_fn=limit,
            timeout=60,
        )

    kept: set[object] = set()
    attempts = 0
    for limit_bytes in (150_000, 300_000, 500_000):
        done = run(limit_bytes)
        attempts += 1
        assert done.returncode == 1, done.stderr
        assert str(database) in done.stderr
        assert "Traceback" not in done.stderr
        stored = {
            row[0]
            for row in query(
                database, "SELECT step_id FROM step_state WHERE run_id = 'full' AND status = 'SUCCESS'"
            )
        }
        assert kept <= stored, "an acknowledged step is gone"
        kept = stored
        connection = sqlite3.connect(database)
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        connection.close()
    done = run(None)
    assert done.returncode == 0, done.stderr
    again = query(
        database,
        "SELECT step_id, count(*) FROM events WHERE run_id = 'full' AND event = 'step_finished' "
        "GROUP BY 1 HAVING count(*) > 1",
    )
    assert again == []
    record_property(
        "torture", f"full disk: {attempts} limits, {len(kept)} steps kept, 0 repeated, then the end"
    )
