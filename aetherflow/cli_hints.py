"""Build complete commands for hints and summaries, which a user can paste in any folder and shell."""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from pathlib import Path


def state_option(state: Path | str) -> str:
    """Return the option that names this state database."""
    return f"--state {shlex.quote(str(state))}"


def cancel_command(run_id: str, state: Path | str) -> str:
    """Return the command that cancels a run which another process executes."""
    return f"aetherflow runs cancel {shlex.quote(run_id)} {state_option(state)}"


def retry_command(run_id: str, state: Path | str, secrets: Iterable[str] = ()) -> str:
    """Return the command that resumes a run; the user fills in the values of secret parameters."""
    given = "".join(f" --param {shlex.quote(f'{name}=VALUE')}" for name in secrets)
    return f"aetherflow runs retry {shlex.quote(run_id)} {state_option(state)}{given}"
