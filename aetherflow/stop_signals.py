"""The signals that ask a process to stop, and what they do outside a run: end it at once. Imports no loop."""

from __future__ import annotations

import os
import signal

from aetherflow import exit_codes

_CANNOT_BE_CAUGHT = {signal.SIGKILL, signal.SIGSTOP}
_DO_NOT_END_A_PROCESS = {
    *(signal.SIGCHLD, signal.SIGCONT, signal.SIGURG, signal.SIGWINCH),
    *(signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU),
}
_REPORT_A_FAULT = {
    *(signal.SIGABRT, signal.SIGBUS, signal.SIGFPE, signal.SIGILL),
    *(signal.SIGSEGV, signal.SIGSYS, signal.SIGTRAP),
}
_FAIL_A_WRITE = {signal.SIGPIPE, signal.SIGXFSZ}
"""Python ignores them: the write that they are about raises an error."""

STOP_SIGNALS: frozenset[int] = frozenset(
    signal.valid_signals() - _CANNOT_BE_CAUGHT - _DO_NOT_END_A_PROCESS - _REPORT_A_FAULT - _FAIL_A_WRITE
)
"""All others, real-time signals too: by default each of them ends a process."""

_is_command = False
_exit_code: int | None = None
_was_asked = False
_has_stalled_reader = False
_unfinished: set[str] = set()


def name_of(number: int) -> str:
    """Return `SIGHUP`; a real-time signal without a name of its own is called `SIGRTMIN+2`."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"SIGRTMIN+{number - signal.SIGRTMIN}"


def end_at_once() -> None:
    """Let every signal that asks to stop end the process at once, with the exit code 128 + its number.

    A KeyboardInterrupt in the middle of an import may be lost, and as process 1 of a container a process is
    not ended by any signal without a handler. What must clean up, as a run, takes the signals from its start.
    """
    global _is_command  # noqa: PLW0603 - a process runs one command
    _is_command = True
    for number in filter(is_free, STOP_SIGNALS):
        signal.signal(number, _end)


def note_unfinished(path: str) -> None:
    """Let a signal that ends the process also remove a new file, which is not whole yet."""
    _unfinished.add(path)


def note_finished(path: str) -> None:
    """Note that a new file is whole, or gone."""
    _unfinished.discard(path)


def is_command() -> bool:
    """Whether this process runs a command of ours, and ends with it."""
    return _is_command


def is_free(number: int) -> bool:
    """Whether a signal is neither ignored, as SIGHUP is under nohup, nor handled by code of a user."""
    return signal.getsignal(number) in (signal.SIG_DFL, signal.default_int_handler, _end)


def end_with(exit_code: int) -> None:
    """Let a signal that comes from now on end the process with this exit code: the work has been done."""
    global _exit_code  # noqa: PLW0603 - a process has one exit code
    _exit_code = exit_code


def note_request() -> None:
    """Note that the process was asked to stop while it had something to end in order."""
    global _was_asked  # noqa: PLW0603 - it concerns the whole process
    _was_asked = True


def note_stalled_reader() -> None:
    """Note that a reader of the process takes nothing any more."""
    global _has_stalled_reader  # noqa: PLW0603 - it concerns the whole process
    _has_stalled_reader = True


def waits_for_nobody() -> bool:
    """Whether the end of the process should not wait: it was asked to stop, or a reader takes nothing."""
    return _was_asked or _has_stalled_reader


def final_exit_code() -> int | None:
    """Return the exit code of a command whose work has been done; None before."""
    return _exit_code


def _end(number: int, _frame: object) -> None:
    for path in tuple(_unfinished):
        _remove(path)
    os._exit(exit_codes.of_signal(number) if _exit_code is None else _exit_code)


def _remove(path: str) -> None:
    try:
        os.unlink(path)  # noqa: PTH108 - pathlib would take as long to import as `--version` does
    except OSError:
        return  # it is not there yet, or it has its final name already
