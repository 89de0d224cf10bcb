"""The threads in which exports read logs and write files."""

from __future__ import annotations

from aetherflow.worker_threads import WorkerThreads

threads = WorkerThreads("exports", 2)
"""A second one writes while the first reads."""
