r"""Read the paths of files on a share, in every form that people write; pure.

Without a share of its own a path is on the share of the resource: `dir/f`, `/dir/f`, `\dir\f`, and
`X:\dir\f`, whose drive is dropped. `SHARE:/dir/f` and `\\host\share\dir\f` name one.
"""

from __future__ import annotations

import re
from functools import lru_cache

import msgspec
from msgspec.structs import replace

from aetherflow import StepError

LONGEST_NAME = 255
"""How many characters a name may have; Windows counts those outside the basic plane twice."""

_SHARE = re.compile(r"([^/\\:]{2,}):(?:[/\\](.*))?", re.DOTALL)
_DRIVE = re.compile(r"[A-Za-z]:(?:[/\\](.*))?", re.DOTALL)
_URL = re.compile(r"(?:smb|cifs)://", re.IGNORECASE)
_SEPARATORS = re.compile(r"[/\\]+")
_REFUSED = re.compile(r'[<>:"|?*\x00-\x1f]')
_DEVICE = re.compile(r"(con|prn|aux|nul|com[1-9¹²³]|lpt[1-9¹²³])(\..*)?", re.IGNORECASE)


class SharePath(msgspec.Struct, frozen=True):
    """Where a file is.

    Attributes:
        written: the path as the flow has it, for messages.
        host: the server.
        share: the share on it.
        parts: the names of the folders and the file; empty for the share itself.
    """

    written: str
    host: str
    share: str
    parts: tuple[str, ...] = ()

    @property
    def unc(self) -> str:
        """The path as Windows spells it: two backslashes, host, share, names."""
        return "\\".join(("\\", self.host, self.share, *self.parts))

    def above(self) -> list[str]:
        """Return the folders that it is in, as `unc` in lower case."""
        tops = [replace(self, parts=self.parts[:count]) for count in range(len(self.parts))]
        return [top.unc.lower() for top in tops]

    @property
    def inner(self) -> str:
        """The path below the share, as servers want it in a rename."""
        return "\\".join(self.parts)


@lru_cache(maxsize=1024)
def share_path(written: str, *, host: str, share: str) -> SharePath:
    """Return where a path is; `host` and `share` are those of the resource.

    Raises:
        StepError: no share is known, or the path leaves its share (AF345), or Windows does not allow a name
            in it (AF346).
    """
    if _URL.match(written):
        raise StepError(
            f"{written!r} is a URL, not a path of a share",
            hint=r"write \\host\share\folder\file, or SHARE:/folder/file on the server of the resource",
            code="AF345",
        )
    rest = written
    if written.startswith(("\\\\", "//")):
        host, share, rest = _unc(written)
    elif found := _SHARE.fullmatch(written):
        share, rest = found[1], found[2] or ""
    elif found := _DRIVE.fullmatch(written):
        rest = found[1] or ""
    if not share:
        raise StepError(
            f"{written!r} names no share, and neither does the resource",
            hint="add share to its config, or write SHARE:/folder/file",
            code="AF345",
        )
    parts = _resolved(written, [part for part in _SEPARATORS.split(rest) if part not in {"", "."}])
    for name in (share, *parts):
        _check_characters(written, name)
    return SharePath(written, host, share, tuple(parts))


def check_new_name(path: SharePath) -> None:
    """Check that Windows can make a file of this name.

    Raises:
        StepError: it is a device, ends with a dot or a blank, or is too long (AF346).
    """
    for name in path.parts:
        _check_new(path.written, name)


def join(folder: str, name: str) -> str:
    """Return the path of `name`, which may have `/` between its parts, below a folder.

    Raises:
        StepError: Windows does not allow the name, or it has a backslash, which would make a folder (AF346).
    """
    if "\\" in name:
        raise _refused(f"{folder}/{name}", name, "it contains a backslash")
    for part in filter(None, name.split("/")):
        _check_characters(f"{folder}/{name}", part)
        _check_new(f"{folder}/{name}", part)
    if not folder or folder.endswith(("/", "\\")):
        return f"{folder}{name}"
    return f"{folder}/{name}"


def parent(path: str) -> str:
    """Return the folder of a path, in the form in which it is written; of a share it is the share."""
    cut = max(path.rfind("/"), path.rfind("\\"))
    folder = path[: cut + 1]
    bare = folder.rstrip("/\\")
    return bare if bare and not bare.endswith(":") else folder


def _unc(written: str) -> tuple[str, str, str]:
    host, share, *parts = [*_SEPARATORS.split(written[2:]), "", ""][: None if written[2:] else 2]
    if not host or not share:
        raise StepError(
            f"{written!r} begins with two slashes, but does not name a host and a share",
            hint=r"write \\host\share\folder\file; with one slash it is a path on the share of the resource",
            code="AF345",
        )
    return host, share, "/".join(parts)


def _resolved(written: str, parts: list[str]) -> list[str]:
    done: list[str] = []
    for part in parts:
        if part != "..":
            done.append(part)
        elif done:
            done.pop()
        else:
            raise StepError(f"{written!r} leaves its share", hint="remove the '..' from it", code="AF345")
    return done


def _check_characters(written: str, name: str) -> None:
    if found := _REFUSED.search(name):
        character = found[0]
        shown = repr(character)[1:-1] if character < " " else character
        raise _refused(written, name, f"it contains {shown}")
    try:
        name.encode("utf-16-le")
    except UnicodeEncodeError:
        raise _refused(written, name, "it is no text: its bytes are in an unknown encoding") from None


def _check_new(written: str, name: str) -> None:
    if _DEVICE.fullmatch(name):
        raise _refused(written, name, "it is the name of a device")
    if name.endswith((".", " ")):
        raise _refused(written, name, f"it ends with a {'dot' if name.endswith('.') else 'blank'}")
    if len(name.encode("utf-16-le")) // 2 > LONGEST_NAME:
        raise _refused(f"{written[:80]}...", f"{name[:40]}...", f"it has more than {LONGEST_NAME} characters")


def _refused(written: str, name: str, why: str) -> StepError:
    return StepError(
        f"{written!r}: Windows does not allow the name {name!r}: {why}",
        hint="rename the file; a transfer can do that with its input rename",
        code="AF346",
        detail={"path": written},
    )
