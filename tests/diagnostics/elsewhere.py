"""Codes that only a fault of some size brings about; a test that makes it shows them, and is named here."""

from __future__ import annotations

ELSEWHERE: dict[str, tuple[str, str]] = {
    "AF186": ("packages of 0.0 in the same environment", "tests/test_shared_environment.py"),
    "AF160": ("a project file of another user", "tests/config/test_project.py"),
    "AF573": ("a keyring that is locked", "tests/config/test_value_providers.py"),
    "AF600": ("a database fails in the middle of a run", "tests/runs/test_run_host.py"),
    "AF606": ("a network file system", "tests/store/test_filesystem.py"),
    "AF607": ("a file of a large output is lost", "tests/cli/test_large_outputs.py"),
    "AF608": ("a file of a large output cannot be written", "tests/execution/test_large_items.py"),
    "AF609": ("a history that contradicts itself", "tests/runs/test_execute_run.py"),
    "AF610": ("two processes with one run id", "tests/cli/test_signals.py"),
    "AF611": ("a run that is taken over", "tests/cli/test_locks.py"),
    "AF620": ("a lock that another process holds", "tests/cli/test_locks.py"),
    "AF621": ("a lock that is taken by force", "tests/cli/test_locks.py"),
    "AF612": ("a database that may only be read", "tests/store/test_read_only.py"),
    "AF613": ("a database that refuses the events of one run", "tests/store/test_group_commit.py"),
    "AF642": ("a lease of a pool that ran out", "tests/store/test_pool_table.py"),
    "AF215": ("a clock that was ahead", "tests/scheduler/test_clock_ahead.py"),
    "AF216": ("a clock that was ahead", "tests/scheduler/test_clock_ahead.py"),
    "AF643": ("a pool that is in use", "tests/cli/test_pools.py"),
    "AF650": ("a full queue of a server", "tests/runs/test_run_pool.py"),
    "AF651": ("a run that a server has already", "tests/runs/test_run_pool.py"),
    "AF652": ("a server that shuts down", "tests/runs/test_run_pool.py"),
    "AF653": ("a run withdrawn from a queue", "tests/runs/test_run_pool.py"),
    "AF654": ("a bug within a server", "tests/runs/test_run_pool.py"),
    "AF659": ("a server that does not end after a second signal", "tests/cli/test_stuck_runs.py"),
    "AF854": ("a source with very many files", "tests/bundle/test_sync.py"),
    "AF702": ("a thread that is asked to stop", "tests/sdk/test_context.py"),
    "AF708": ("a process that cannot be ended", "tests/runs/test_left_process.py"),
    "AF762": ("a log rotation that leaves no folder", "tests/cli/test_log_rotation.py"),
    "AF723": ("an empty file that a selection takes", "tests/sdk/test_file_selection.py"),
    "AF724": ("a folder that cannot be listed", "tests/steps/test_list_files.py"),
    "AF722": ("a file that is larger than its limit", "tests/sdk/test_files.py"),
    "AF721": ("files that cannot be removed", "tests/runs/test_execute_run.py"),
}
"""For each code why it has no case, and the file of the test that shows it."""
