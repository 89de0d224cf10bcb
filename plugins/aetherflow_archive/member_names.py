"""Check the names of an archive's members before anything is written: none may leave the folder. Pure."""

from __future__ import annotations

import stat
import unicodedata
from collections.abc import Iterable, Iterator

from aetherflow import StepError

DEEPEST = 100
"""How many folders deep a member may be."""
_FIRST_PRINTABLE = 0x20
_DELETE = 0x7F
_UNUSUAL = {
    stat.S_IFLNK: "is a symbolic link",
    stat.S_IFCHR: "is a device",
    stat.S_IFBLK: "is a device",
    stat.S_IFIFO: "is a pipe",
    stat.S_IFSOCK: "is a socket",
}
"""What a member may not be, by the file type in its Unix mode."""


def safe_name(archive: str, name: str, unusual: str = "") -> str:
    """Return the path of a member below the folder where it is unpacked; empty for that folder itself.

    Args:
        archive: the archive, for the message.
        name: the member's name as the archive has it; a folder ends with `/`.
        unusual: what it is instead of a plain file or folder, such as `is a device`; empty if it is one.

    Raises:
        StepError: it would be written elsewhere, or is no plain file or folder (AF392).
    """
    parts = _parts(name)
    if problem := unusual or _problem(name, parts):
        raise StepError(
            f"{archive}: the member {name!r} {problem}; nothing is unpacked",
            hint="check where the archive comes from; the input members can name the files to unpack",
            code="AF392",
        )
    return "/".join(parts)


def unusual_file(mode: int) -> str:
    """Return in words what a file is by its Unix mode; empty for a plain file, a folder or no mode."""
    return _UNUSUAL.get(stat.S_IFMT(mode), "")


def unportable(names: Iterable[str]) -> Iterator[str]:
    """Yield what `unzip` and others would refuse of an archive with these names, in words."""
    seen: dict[str, str] = {}
    for name in names:
        if problem := _problem(name, _parts(name)):
            yield f"{name!r} {problem}"
        other = seen.setdefault(_as_one(name), name)
        if other != name:
            yield f"{other!r} and {name!r} are one file where upper and lower case are the same"


def _parts(name: str) -> list[str]:
    return [part for part in name.split("/") if part not in ("", ".")]


def _problem(name: str, parts: list[str]) -> str:
    """Return what is wrong with a name; empty if nothing is."""
    if any(ord(character) < _FIRST_PRINTABLE or ord(character) == _DELETE for character in name):
        return "has a control character in its name"
    if name.startswith("/"):
        return "has an absolute name"
    if "\\" in name:
        return "has a backslash in its name, which Windows takes for a folder"
    if ".." in parts:
        return "leads out of the folder by `..`"
    if any(part[1:2] == ":" and part[0].isalpha() for part in parts[:1]):
        return "has a drive letter in its name"
    if len(parts) > DEEPEST:
        return f"is nested more than {DEEPEST} deep"
    return "" if parts or name.endswith("/") else "has no name"


def check_clashes(archive: str, names: Iterable[str]) -> None:
    """Check that no two names are one file, also where upper and lower case are the same.

    Args:
        archive: the archive, for the message.
        names: safe names; a folder ends with `/`.

    Raises:
        StepError: two files would be one, or a file is where a folder must be (AF392).
    """
    files: dict[str, str] = {}
    folders: dict[str, str] = {}
    for name in names:
        key = _as_one(name.rstrip("/"))
        if name.endswith("/"):
            folders.setdefault(key, name)
            continue
        if key in files:
            raise _clash(archive, files[key], name)
        files[key] = name
        while "/" in key:
            key = key.rpartition("/")[0]
            folders.setdefault(key, name)
    if both := files.keys() & folders.keys():
        first = min(both)
        raise _clash(archive, files[first], folders[first])


def _as_one(name: str) -> str:
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


def _clash(archive: str, one: str, other: str) -> StepError:
    return StepError(
        f"{archive}: the members {one!r} and {other!r} would be one file; nothing is unpacked",
        hint="name one of them in the input members, or have the archive made without the other",
        code="AF392",
    )
