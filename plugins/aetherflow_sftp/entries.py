"""Describe what a server lists: files, folders, links; nothing else is one."""

from __future__ import annotations

import stat as modes
from typing import TYPE_CHECKING

from aetherflow import RemoteEntry

if TYPE_CHECKING:
    from asyncssh import SFTPAttrs


def described(path: str, attrs: SFTPAttrs, *, is_link: bool = False) -> RemoteEntry | None:
    """Return a file or folder; None for a pipe, a device and the like."""
    if is_folder(attrs):
        return RemoteEntry(path, 0, attrs.mtime, is_dir=True, is_link=is_link)
    if attrs.permissions is not None and modes.S_IFMT(attrs.permissions) not in {0, modes.S_IFREG}:
        return None
    return RemoteEntry(path, attrs.size or 0, attrs.mtime, is_link=is_link)


def is_folder(attrs: SFTPAttrs) -> bool:
    """Return whether attributes are those of a folder."""
    return attrs.permissions is not None and modes.S_ISDIR(attrs.permissions)


def is_link(attrs: SFTPAttrs) -> bool:
    """Return whether attributes are those of a link."""
    return attrs.permissions is not None and modes.S_ISLNK(attrs.permissions)


def is_name(text: str) -> bool:
    """Return whether a text can be the name of a file; a path would lead elsewhere."""
    return bool(text) and "/" not in text and "\0" not in text
