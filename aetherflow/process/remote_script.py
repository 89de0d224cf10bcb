"""What runs on another host beside a program, with nothing but `sh`: the starter and the guard.

The *starter* is a shell that reads the program and its environment as lines from its standard input, so that
the list of processes shows no variables. It prints its process group and becomes the program. The *guard* is
a second shell on the same connection. It ends the process group when it is requested to, or when its standard
input ends because the connection is lost or the engine has died.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping

import msgspec

_END = "#aetherflow: end of the program"
"""The line after the script of a program; a line of the script never is this one."""

# One line, in single quotes, without a backslash at a place where a login shell would take it: sh, bash, zsh,
# ksh, csh and fish all pass it on as it is. What is different for each program follows on standard input.
STARTER = (
    "exec /bin/sh -c '"
    "g=$(ps -o pgid= -p $$ 2>/dev/null); "
    'echo "aetherflow $$ $g"; '
    'n=$(printf "%b_" "\\0012"); n=${n%_}; s=; '
    "while IFS= read -r l; do "
    f'if [ "$l" = "{_END}" ]; then eval "$s"; exit 126; fi; '
    's="$s$l$n"; '
    "done; exit 126'"
)

GUARD = (
    "exec /bin/sh -c '"
    "read -r g t || exit 0; "
    "echo ready; "
    "r=; read -r r; "
    '[ "$r" = leave ] && exit 0; '
    'kill -0 "$g" 2>/dev/null || g=${g#-}; '
    'kill -TERM "$g" 2>/dev/null || exit 0; '
    'while [ "$t" -gt 0 ]; do sleep 1; kill -0 "$g" 2>/dev/null || exit 0; t=$((t-1)); done; '
    'kill -KILL "$g" 2>/dev/null; exit 0\''
)

LEAVE = b"leave\n"
"""Lets what the program left run on."""

END = b"end\n"
"""Ends the process group of the program."""

_FIRST_LINE = re.compile(rb"aetherflow (\d+) +(\d*)\s*")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class RemoteCommand(msgspec.Struct, frozen=True):
    """A program for another host.

    Attributes:
        argv: the program and its arguments, or a command line for `/bin/sh -c` as its three words.
        directory: where it starts; empty: the home folder of the user.
        environment: variables that are added to those of the login.
    """

    argv: tuple[str, ...]
    directory: str = ""
    environment: Mapping[str, str] = {}


def script_of(command: RemoteCommand) -> bytes:
    """Return the lines for the starter: they change the folder, set the variables and become the program.

    Raises:
        ValueError: a text cannot be passed to a shell.
    """
    if "\0" in "".join([*command.argv, *command.environment.values(), command.directory]):
        raise ValueError("an argument or a variable has a null byte")
    lines = []
    if command.directory:
        lines.append(f"cd -- {shlex.quote(command.directory)} || exit 126")
    for name, value in command.environment.items():
        if not _NAME.fullmatch(name):
            raise ValueError(f"the variable {name!r} has a name that a shell cannot set")
        lines.append(f"export {name}={shlex.quote(value)}")
    lines.append(f"exec {shlex.join(command.argv)}")
    script = "\n".join(lines)
    if _END in script.splitlines():
        raise ValueError(f"a line of an argument or a variable is {_END!r}")
    return f"{script}\n{_END}\n".encode("utf-8", "surrogateescape")


def process_group(first_line: bytes) -> str | None:
    """Return what `kill` is given to signal the program: minus its group, or its own id.

    None if the line is not the first one of the starter. Where the host has no `ps`, the group is a guess,
    and the guard takes the program alone if there is no such group.

    Where the host does not start a session for each command, the group has other processes, too.
    """
    match = _FIRST_LINE.fullmatch(first_line)
    if match is None:
        return None
    pid, group = match[1].decode(), match[2].decode()
    return f"-{pid}" if group in ("", pid) else pid
