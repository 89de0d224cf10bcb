"""The entry points of the commands: start fast, handle signals and lost streams, and end the process."""

from __future__ import annotations

import gc
import os
import sys
from typing import TYPE_CHECKING

from aetherflow import exit_codes

if TYPE_CHECKING:
    from collections.abc import Callable

FLUSH_SECONDS = 2.0
"""How long readers of a process that should not wait for them may take to read its last lines."""


def scheduler() -> None:
    """Run `aetherflow-scheduler ...`, which is `aetherflow scheduler ...`."""
    sys.argv.insert(1, "scheduler")
    main()


def main() -> None:
    """Run the command line and end the process with its exit code.

    The process ends at once: by now everything is closed and flushed, taking the interpreter apart would cost
    a sixth of a short run, and it would wait for ever for a thread that a step has left behind.
    """
    gc.disable()  # what is imported stays; a long command turns the collector on again
    _open_missing_streams()
    try:
        code = _command(sys.argv[1:])
    except KeyboardInterrupt:
        code = exit_codes.of_signal(2)  # before the handlers are there
    except OSError as error:
        code = _report_lost_output(error)
    _flush()
    os._exit(code)


def _command(arguments: list[str]) -> int:
    if arguments == ["--version"]:
        from aetherflow._version import __version__  # noqa: PLC0415 - the answer needs nothing else

        sys.stdout.write(f"aetherflow {__version__}\n")
        sys.stdout.flush()
        return exit_codes.SUCCESS
    if os.getpid() == 1:
        from aetherflow.process.init_process import continue_in_a_child  # noqa: PLC0415 - in containers

        continue_in_a_child()
    from aetherflow.stop_signals import end_at_once  # noqa: PLC0415 - not for --version

    end_at_once()  # what must clean up, as a run, takes the signals from its start
    from aetherflow.cli.main import run_command_line  # noqa: PLC0415 - typer is not needed above

    return run_command_line(arguments)


def _report_lost_output(error: OSError) -> int:
    """Say that the output could not be written, if standard error still can be."""
    import contextlib  # noqa: PLC0415 - rarely needed

    with contextlib.suppress(OSError):
        sys.stderr.write(f"error[AF810]: cannot write the output: {error.strerror or error}\n")
    return exit_codes.FAILURE


def _open_missing_streams() -> None:
    """Give the null device to a closed standard stream, or the next file opened would take its number.

    Who closes a stream (`>&-`, some supervisors) wants nothing of it: for every command it is no error, as
    `>/dev/null` is none. What was asked for and is lost (a full disk) is one.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(os.open(os.devnull, os.O_RDWR), mode))


def _flush() -> None:
    """Flush the streams, until a signal comes; only briefly after a request to stop, or for a stalled reader.

    In a thread: one that writes into a full pipe holds the lock of its stream, and no signal would be handled
    while this thread waits for that lock.
    """
    import _thread  # noqa: PLC0415 - hardly anything needs it

    from aetherflow import stop_signals  # noqa: PLC0415 - not for --version

    flushed = _thread.allocate_lock()
    flushed.acquire()
    _thread.start_new_thread(_flush_or_discard, (flushed.release,))
    flushed.acquire(timeout=FLUSH_SECONDS if stop_signals.waits_for_nobody() else -1)


def _flush_or_discard(done: Callable[[], None]) -> None:
    """Flush; discard what cannot be written: it was reported when it was printed."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
    done()


if __name__ == "__main__":
    main()
