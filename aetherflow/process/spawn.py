"""Start a program: a child that leads its own session and carries the engine's mark."""

from __future__ import annotations

import errno
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

import msgspec

from aetherflow.errors import StepError
from aetherflow.process.guardian import MARK, new_mark, note_leader

SPAWN_FAILED = "AF731"


class Program(msgspec.Struct, frozen=True):
    """What to start.

    Attributes:
        argv: the program and its arguments; a name without a slash is searched in the PATH of `environment`.
        stdin: what the program reads; None: nothing (/dev/null).
    """

    argv: tuple[str, ...]
    directory: Path
    environment: Mapping[str, str]
    stdin: bytes | None = None


def start(
    program: Program, run_id: str, *, stdin: int, stdout: int, stderr: int
) -> tuple[subprocess.Popen[bytes], str]:
    """Start a program as a child of the engine; return it and its mark.

    Raises:
        StepError: it cannot be started, and why.
    """
    try:
        mark = new_mark(run_id)
        popen = subprocess.Popen(  # noqa: S603 - running what the flow says is the purpose
            program.argv,
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            cwd=program.directory,
            env={**program.environment, MARK: mark},
            start_new_session=True,
        )
    except (OSError, ValueError) as error:
        raise not_started(program, error) from None
    note_leader(popen.pid)
    return popen, mark


def not_started(program: Program, error: OSError | ValueError) -> StepError:
    """Return the error that says why a program could not be started, and what to do."""
    reason, hint = str(error), ""
    if isinstance(error, OSError):
        reason, hint = error.strerror or str(error), _HINTS.get(error.errno or 0, "")
        if str(error.filename) == str(program.directory) != program.argv[0]:
            reason = f"the working directory {program.directory}: {reason}"
            hint = "create it in an earlier step, or correct cwd; it starts at the artifacts of the job"
        elif error.errno == errno.ENOENT:
            hint = _not_found_hint(program)
    return StepError(
        f"cannot start {program.argv[0]}: {reason}",
        hint=hint,
        code=SPAWN_FAILED,
        detail={"command": list(program.argv)},
    )


_HINTS = {
    errno.EACCES: "make the file executable (chmod +x), or name its interpreter: [python3, script.py]",
    errno.ENOEXEC: "the file is no program, and has no first line like #!/bin/sh",
    errno.E2BIG: "pass long values by stdin, or in a file",
    errno.EMFILE: "raise the limit of open files (ulimit -n), or lower max_parallel_jobs",
    errno.EAGAIN: "raise the limit of processes (ulimit -u), or lower max_parallel_jobs",
}


def _not_found_hint(program: Program) -> str:
    name = program.argv[0]
    if " " in name:
        return "a plain text is one program name: write command as a list, use args, or set shell: true"
    if "/" in name:
        return f"a relative path is looked up in {program.directory}; check also the script's first line (#!)"
    searched = os.pathsep.join(os.get_exec_path(program.environment))
    return f"no such program in the PATH of the step: {searched}"
