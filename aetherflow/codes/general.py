"""AF0xx: the command itself."""

from __future__ import annotations

from aetherflow.codes.entry import Entry

ENTRIES = {
    "AF000": Entry(
        "AetherFlow met an error that it does not know: a bug of its own.",
        "error[AF000]: internal error: KeyError: 'x'",
        "Run it again as `aetherflow --debug COMMAND ...` and report the traceback.",
    ),
    "AF001": Entry(
        "An error without a code of its own.",
        "an error that a plugin raises as AetherFlowError",
        "Read the message; the plugin that raised it can say more.",
    ),
    "AF002": Entry(
        "The command line asks for something that makes no sense.",
        "aetherflow run flow.yaml --rerun probe (without --run-id)",
        "Correct the arguments; `aetherflow COMMAND --help` names them.",
    ),
    "AF003": Entry(
        "The operating system refuses what the command needs: a file, a folder, the working directory.",
        "aetherflow init project/of/another/user",
        "Correct the permissions, make room, or work elsewhere, as the message says.",
    ),
}
