"""Build complete commands for hints and summaries, which a user can paste in any folder and shell.

An empty `state` names no database: that of the command is the usual one of the user.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from pathlib import Path


def state_option(state: Path | str) -> str:
    """Return the option that names this state database."""
    return f"--state {shlex.quote(str(state))}"


def show_command(run_id: str, state: Path | str, *, everything: bool = False) -> str:
    """Return the command that shows a run with its errors; with `everything` all of its jobs and steps."""
    return _of_run("show", run_id, state, " --all" if everything else "")


def cancel_command(run_id: str, state: Path | str) -> str:
    """Return the command that cancels a run which another process executes."""
    return _of_run("cancel", run_id, state)


def events_command(run_id: str, state: Path | str) -> str:
    """Return the command that prints the stored events of a run."""
    return _command("events", run_id, state)


def logs_command(run_id: str, state: Path | str) -> str:
    """Return the command that prints the output of the programs of a run."""
    return _command("logs", run_id, state)


def retry_command(
    run_id: str,
    state: Path | str,
    secrets: Iterable[str] = (),
    begin_at: Iterable[str] = (),
    *,
    executor: str = "",
) -> str:
    """Return the command that resumes a run; the user fills in the values of secret parameters.

    `begin_at` names jobs and steps that run again although they have succeeded, `executor` what the command
    before named: a resumed run goes where its own command says.
    """
    again = "".join(f" --from {shlex.quote(name)}" for name in begin_at)
    given = "".join(f" --param {shlex.quote(f'{name}=VALUE')}" for name in secrets)
    where = f" --executor {shlex.quote(executor)}" if executor else ""
    return _of_run("retry", run_id, state, again + given + where)


def _of_run(command: str, run_id: str, state: Path | str, options: str = "") -> str:
    return _command(f"runs {command}", run_id, state, options)


def _command(command: str, run_id: str, state: Path | str, options: str = "") -> str:
    """Return a command about a run; an id that looks like an option comes last."""
    named, last = ("", f" -- {shlex.quote(run_id)}") if run_id[:1] == "-" else (f" {shlex.quote(run_id)}", "")
    database = f" {state_option(state)}" if state else ""
    return f"aetherflow {command}{named}{database}{options}{last}"
