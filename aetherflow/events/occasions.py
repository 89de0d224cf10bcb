"""Name what a message to people may be about, and the jobs that send some. Imports nothing of aetherflow."""

from __future__ import annotations

from typing import Literal

Occasion = Literal["failure", "recovery", "late", "success"]
"""A run failed; one succeeded after a failure that was reported; a tick is late; a run succeeded."""

NOTIFY = "@notify-"
"""First characters of the jobs that send messages of a flow."""

ADDRESS = "url of notify "
"""First characters of the resources of their addresses, as errors name them."""


def is_message(job_id: str) -> bool:
    """Whether a job sends a message of its flow."""
    return job_id.startswith(NOTIFY)
