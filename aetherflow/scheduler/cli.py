"""What `aetherflow-scheduler` of AetherFlow 0.0 starts, if that is installed beside this package."""

from __future__ import annotations

from aetherflow.shared_environment import end_old_command as main

__all__ = ["main"]
