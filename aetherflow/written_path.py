"""What a path that a person wrote means: `~` is a home folder, others start at the file that has them.

Never makes a folder that is called `~` or `$HOME`: what cannot be resolved is refused. Imports only the
errors and the working directory.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from aetherflow.errors import ConfigError
from aetherflow.working_directory import absolute

_VARIABLE = re.compile(r"\$(?:\{(?P<braced>[A-Za-z_]\w*)[^{}]*\}|(?P<plain>[A-Za-z_]\w*))", re.ASCII)
_HOME_VARIABLE = re.compile(r"\$(?:HOME|\{HOME\})(?=/|\Z)")
_LEADING_TILDE = re.compile(r"~(?:[A-Za-z0-9_][\w.-]*(?=/))?(?=/|\Z)", re.ASCII)
_LEADING_VARIABLE = re.compile(r"\$(?:\{[A-Za-z_]\w*\}|[A-Za-z_]\w*)(?=/|\Z)", re.ASCII)
_PIPES = ("/dev/stdin", "/dev/fd/", "/proc/")
"""How the names of pipes begin: `run /dev/stdin`, `validate <(generate)`."""


class UnclearPath(ConfigError):
    """Nobody can say which file a path names: an unknown user, or a variable that no shell replaces."""


def written_path(text: str, folder: Path | None = None, *, home: str = "") -> Path:
    """Return the absolute path that a text in a file, or in a setting, means.

    `~` and `~/x` are in the home folder of the user, `~ann/x` in that of another one. `./~` is a folder that
    is called `~`. The file system is not asked, and links are not followed.

    Args:
        text: the path as it is written, its templates rendered.
        folder: where a relative path starts: the folder of the file that has it (`folder_of`); None: the
            working directory, for settings and options.
        home: the value of HOME in the environment of the run; empty: the home folder of the user.

    Raises:
        UnclearPath: there is no home folder for the `~` (AF140), or the text has a `$NAME` that nobody
            replaces (AF141).
        ConfigError: it is relative to a working directory that was removed.
    """
    if found := _VARIABLE.search(text):
        name = found["braced"] or found["plain"]
        raise UnclearPath(
            f"the path {text!r} holds {found[0]}, which no shell replaces here",
            hint=f"write {{{{env.{name}}}}} in a file, ~ for the home folder, or the whole path",
            code="AF141",
        )
    path = Path(text)
    if text.startswith("~"):
        path = _in_home(text, home)
    return absolute(path if folder is None else folder / path)


def setting_path(text: str, home: str = "") -> Path:
    """Return the path of a setting: `$HOME` and `${HOME}` count as `~`, as files for systemd have them.

    Raises:
        ConfigError: as for `written_path`.
    """
    return written_path(_HOME_VARIABLE.sub("~", text, count=1) if text.startswith("$") else text, home=home)


def folder_of(file: Path) -> Path:
    """Return the folder where the relative paths of a file start; links are not followed.

    A flow that comes through a pipe has no folder: its paths start at the working directory.

    Raises:
        ConfigError: the path is relative to a working directory that was removed.
    """
    path = absolute(file)
    return absolute(Path()) if str(path).startswith(_PIPES) else path.parent


def unexpanded(text: str) -> str:
    """Return the `~`, `~ann`, `$HOME` or `${NAME}` that a path below a fixed folder begins with, or "".

    Such a path would make a folder of that name. `~$report.xlsx` and a file called `~x` are names.
    """
    found = _LEADING_TILDE.match(text) or _LEADING_VARIABLE.match(text)
    return found[0] if found else ""


def variable_of(found: str) -> str:
    """Return the variable that a person meant by what `unexpanded` returns."""
    return "HOME" if found.startswith("~") else found.strip("${}")


def _in_home(text: str, home: str) -> Path:
    name, _, rest = text[1:].partition("/")
    rest = rest.lstrip("/")
    if not name and home:
        return Path(home) / rest
    found = os.path.expanduser(f"~{name}")  # noqa: PTH111 - Path.expanduser of all the text: it may not exist
    if found.startswith("~"):
        raise UnclearPath(
            f"the path {text!r}: there is no user {name!r}" if name else f"the path {text!r}: no home folder",
            hint=f"write the path out, or ./{text} for a file of that name",
            code="AF140",
        )
    return Path(found) / rest
