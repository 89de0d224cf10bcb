"""Check file names in a bundle: refuse names that leave its folder or clash on some file system."""

from __future__ import annotations

import re
import unicodedata
from itertools import accumulate

from aetherflow.errors import BundleError
from aetherflow.spec.suggest import quoted

LONGEST_PART = 255
LONGEST_PATH = 1000

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_DRIVE = re.compile(r"[A-Za-z]:")
_DEVICE = re.compile(r"(con|prn|aux|nul|conin\$|conout\$|com[0-9¹²³]|lpt[0-9¹²³])(\..*)?", re.IGNORECASE)


class FileNames:
    """The file names of a bundle; no two may name the same file on any file system."""

    def __init__(self) -> None:
        self._folders: dict[str, str] = {}
        self._files: dict[str, str] = {}

    def add(self, path: str) -> None:
        """Check the name of a file, and remember it.

        Raises:
            BundleError: the name is unsafe; it, or one of its folders, differs from another name only in case
                or in Unicode normalisation; or the same name is a file and a folder.
        """
        if reason := unsafe_because(path):
            raise BundleError(
                f"the source has a file {quoted(path)}, which cannot be in a bundle: {reason}",
                hint="rename it in the source",
                code="AF853",
            )
        *folders, file = accumulate(path.split("/"), "{}/{}".format)
        for folder in folders:
            key = _folded(folder)
            if key in self._files or self._folders.setdefault(key, folder) != folder:
                raise _collision(self._files.get(key) or self._folders[key], folder)
        key = _folded(file)
        if key in self._files or key in self._folders:
            raise _collision(self._files.get(key) or self._folders[key], file)
        self._files[key] = file


def unsafe_because(path: str) -> str:
    """Return why a path cannot be a file name on every platform; an empty text if it can."""
    if not path or path.startswith("/") or _DRIVE.match(path):
        return "it is not a relative path"
    if "\\" in path or _CONTROL.search(path):
        return "it has a backslash or a control character"
    try:
        parts = [part.encode() for part in path.split("/")]
    except UnicodeEncodeError:
        return "it is not UTF-8"
    if max(map(len, parts)) > LONGEST_PART or sum(map(len, parts)) > LONGEST_PATH:
        return "it is too long"
    return next(filter(None, map(_unsafe_part, path.split("/"))), "")


def _unsafe_part(part: str) -> str:
    if part in ("", ".", ".."):
        return f"it has a part {part!r}"
    if part[-1] in " .":
        return f"{quoted(part)} ends with a {'space' if part[-1] == ' ' else 'dot'}"
    return f"{quoted(part)} is the name of a device on Windows" if _DEVICE.fullmatch(part) else ""


def _folded(path: str) -> str:
    """Return the form in which case-insensitive or normalising file systems compare names."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", path).casefold())


def _collision(one: str, other: str) -> BundleError:
    return BundleError(
        f"the source has both {quoted(one)} and {quoted(other)}, which some file systems take for one name",
        hint="rename one of them in the source",
        code="AF853",
    )
