"""The names that files get where they arrive: safe, by the `rename` template, and temporary ones. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import PurePosixPath

import msgspec

from aetherflow.errors import StepError
from aetherflow.language.date_format import DIRECTIVES, format_problem, formatted

PLACEHOLDERS = ("name", "stem", "suffix", "index", "mtime")
"""What a template sees: name of the file, its two parts, its number from 1, when it was changed (UTC)."""

_PLACEHOLDER = re.compile(r"\{([^{}:]*)(?::([^{}]*))?\}")
_UNUSABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\\\ud800-\udfff]")
_DRIVE = re.compile(r"[A-Za-z]:")
_DEFAULT_TIME = "%Y%m%dT%H%M%S"


class Named(msgspec.Struct, frozen=True):
    """A file and its name where it arrives.

    Attributes:
        source: names the file where it is, for messages.
        rel_path: its name there, below the folder, with `/` between its parts.
        mtime: when it was changed, in seconds since 1970 UTC; None if that is unknown.
    """

    source: str
    rel_path: str
    mtime: float | None = None


def check_template(template: str) -> None:
    """Check a template such as `{stem}_{mtime:%Y%m%d}{suffix}`.

    Raises:
        ValueError: it has an unknown placeholder, a wrong format, or a brace of its own.
    """
    for name, form in _PLACEHOLDER.findall(template):
        if name not in PLACEHOLDERS:
            known = ", ".join(f"{{{one}}}" for one in PLACEHOLDERS)
            raise ValueError(f"{{{name}}} is no placeholder: write {known}")
        if form and name == "mtime" and (problem := format_problem(form)):
            raise ValueError(f"{problem}; {DIRECTIVES}")
        if form and name == "index" and not form.isdecimal():
            raise ValueError(f"{{index:{form}}}: write the number of digits, such as {{index:4}}")
        if form and name in {"name", "stem", "suffix"}:
            raise ValueError(f"{{{name}:{form}}}: only index and mtime take a format")
    if set("{}") & set(_PLACEHOLDER.sub("", template)):
        raise ValueError("a brace has no meaning of its own: write {name} for the name of the file")


def filled(template: str, file: Named, index: int) -> str:
    """Return what a template that was checked gives for a file.

    Raises:
        StepError: it uses the time of a file whose time is unknown (AF313).
    """
    path = PurePosixPath(file.rel_path)

    def value(found: re.Match[str]) -> str:
        match found[1]:
            case "mtime":
                return _time(file, found[2] or _DEFAULT_TIME)
            case "index":
                return f"{index:0{int(found[2] or 1)}}"
            case _ as part:
                return str(getattr(path, part))

    return _PLACEHOLDER.sub(value, template)


def _time(file: Named, form: str) -> str:
    if file.mtime is None:
        raise StepError(
            f"rename uses {{mtime}}, and it is unknown when {file.source} was changed",
            hint="leave {mtime} out: the server, or the step that lists the files, does not report the time",
            code="AF313",
        )
    return formatted(datetime.fromtimestamp(file.mtime, UTC), form)


def target_names(files: Iterable[Named], template: str = "", *, ignores_case: bool = False) -> list[str]:
    """Return the path of each file below the folder where it arrives.

    Args:
        files: the files in order.
        template: the new last part of each path; empty: it stays.
        ignores_case: whether `A.txt` and `a.txt` are one file there.

    Raises:
        StepError: a name cannot be used there (AF313), or two files get the same (AF314).
    """
    names: list[str] = []
    taken: dict[str, str] = {}
    folders: dict[str, str] = {}
    for index, file in enumerate(files, 1):
        above, _, _ = file.rel_path.rpartition("/")
        name = f"{above}/" * bool(above) + filled(template, file, index) if template else file.rel_path
        _check_name(name, file.source)
        key = name.casefold() if ignores_case else name
        above_it = [key[:at] for at, char in enumerate(key) if char == "/"] if "/" in key else []
        other = taken.get(key) or folders.get(key) or next(filter(None, map(taken.get, above_it)), None)
        if other is not None:
            raise _clash(other, file.source, name, ignores_case=ignores_case)
        taken[key] = file.source
        for folder in above_it:
            folders[folder] = file.source
        names.append(name)
    return names


def _check_name(name: str, source: str) -> None:
    """Refuse a name that could lead elsewhere, or that no system takes.

    Raises:
        StepError: it is such a name (AF313).
    """
    parts = name.split("/")
    if _UNUSABLE.search(name) or _DRIVE.match(name) or {"", ".", ".."} & set(parts):
        raise StepError(
            f"{source}: {name!a} is no safe name for the file where it arrives",
            hint="it must not be absolute, have `..`, a drive, a backslash or control characters: "
            "rename: file-{index} gives the files names of their own",
            code="AF313",
        )


def _clash(one: str, other: str, name: str, *, ignores_case: bool) -> StepError:
    why = " (upper and lower case do not matter there)" if ignores_case else ""
    return StepError(
        f"{one} and {other} would both arrive as {name}{why}; nothing was moved",
        hint="let rename tell them apart, for example rename: '{index}_{name}'",
        code="AF314",
    )


def temporary_name(name: str, *marks: object) -> str:
    """Return the hidden name of a file that is incomplete; the same for the same marks.

    The marks are the step and the version of the file: a later attempt finds its own incomplete file, and
    never one of another run or of an older version.
    """
    digest = sha256("\0".join(map(str, marks)).encode("utf-8", "surrogatepass")).hexdigest()
    return f".{name[:40]}.{digest[:12]}.part"


def with_name(path: str, name: str) -> str:
    """Return a path, in the form of any system, with another last part."""
    at = max(path.rfind("/"), path.rfind("\\")) + 1
    return path[:at] + name


def last_part(path: str) -> str:
    """Return the last part of a path in the form of any system."""
    return path[max(path.rfind("/"), path.rfind("\\")) + 1 :]
