"""The entry point of the command line: errors become a sentence and an exit code, never a traceback."""

from __future__ import annotations

import os
import sys
import threading


def main() -> None:
    """Run the command line and end the process with its exit code."""
    if sys.argv[1:] == ["--version"]:
        from aetherflow._version import __version__  # noqa: PLC0415 - the answer needs nothing else

        sys.stdout.write(f"aetherflow {__version__}\n")
        return
    from aetherflow.cli.main import run_command_line  # noqa: PLC0415 - typer is not needed above

    code = run_command_line(sys.argv[1:])
    sys.stdout.flush()
    sys.stderr.flush()
    if any(thread.is_alive() and not thread.daemon for thread in threading.enumerate()[1:]):
        os._exit(code)  # a step's thread was left behind; waiting for it would hang for ever
    sys.exit(code)


if __name__ == "__main__":
    main()
