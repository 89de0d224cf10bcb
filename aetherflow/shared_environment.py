"""Say that packages of AetherFlow 0.0 are in the same environment, where each overwrites files of the other.

`aetherflow-core` and `aetherflow-scheduler` have the import name and the commands of this package. Imports
nothing of AetherFlow, as its modules may be theirs.
"""

from __future__ import annotations

import sys
from pathlib import Path

OLD_PACKAGES = ("aetherflow-core", "aetherflow-scheduler")
_OURS = Path("core", "__init__.py"), "aetherflow.compat"
"""A file that both have, and words that only this package has there."""


def installed_old_packages() -> list[str]:
    """Return the packages of 0.0 that are installed, with their versions; it takes some milliseconds."""
    from importlib.metadata import PackageNotFoundError, version  # noqa: PLC0415 - slow; doctor needs it

    found = []
    for name in OLD_PACKAGES:
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            continue
    return found


def repair() -> str:
    """Return the commands that repair the environment: removing theirs removes files of this package, too.

    The name `aetherflow` on the public package index is 0.0.14: this version comes from where it came from.
    """
    remove = f"pip uninstall {' '.join(OLD_PACKAGES)}"
    return f"{remove} && pip install --force-reinstall --no-deps {_source()}"


def _source() -> str:
    """Return what pip installed this package from, as an argument of pip."""
    import json  # noqa: PLC0415 - only for an environment that is shared
    import shlex  # noqa: PLC0415 - as above
    from importlib.metadata import PackageNotFoundError, distribution  # noqa: PLC0415 - as above
    from urllib.parse import unquote  # noqa: PLC0415 - as above

    try:
        origin = json.loads(distribution("aetherflow").read_text("direct_url.json") or "{}")
        url = origin.get("url", "")
    except (PackageNotFoundError, ValueError, OSError, AttributeError):
        url = ""
    if not url:
        return "/path/to/checkout"
    is_editable = origin.get("dir_info", {}).get("editable", False)
    return ("-e " if is_editable else "") + shlex.quote(unquote(url.removeprefix("file://")))


def sentence(packages: list[str]) -> str:
    """Return what is wrong with an environment that has packages of 0.0."""
    names = " and ".join(packages or OLD_PACKAGES)
    verb = "are" if " and " in names else "is"
    return f"{names} of AetherFlow 0.0 {verb} in the environment of this AetherFlow"


def report_old_files(package: Path) -> None:
    """Report files of 0.0 among those of this package; end the command if they replaced some.

    Raises:
        SystemExit: a command would run with the modules of both.
        ImportError: a program imports them.
    """
    file, words = _OURS
    is_replaced = words not in (package / file).read_text(encoding="utf-8", errors="replace")
    message = sentence(installed_old_packages())
    if not is_replaced:
        _print("warning", f"{message}: plugins may import the wrong one")
        return
    message += ", and files of it were replaced"
    if not Path(sys.argv[0]).name.startswith(("aetherflow", "__main__", "-m")):
        raise ImportError(f"{message}; repair it: {repair()}")
    _print("error", message)
    raise SystemExit(2)


def end_old_command() -> int:
    """Report that a command of 0.0 was started, not one of this package; return the exit code."""
    _print("error", f"{sentence(installed_old_packages())}, and this command is one of theirs")
    return 2


def _print(severity: str, message: str) -> None:
    sys.stderr.write(f"{severity}[AF186]: {message}\n    hint: repair it: {repair()}\n")
