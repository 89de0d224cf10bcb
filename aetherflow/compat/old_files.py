"""Connectors with files (sftp, smb) for steps of AetherFlow 0.0.x, which wait for what they call."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Self

from aetherflow import RemoteEntry
from aetherflow.compat.old_connectors import RemoteFileMeta


class OldFiles:
    """A place with files; what is not here is that of the connector, made blocking."""

    def __init__(self, connector: Any) -> None:
        self._connector = connector

    def list(self, remote_dir: str) -> list[RemoteFileMeta]:
        """Return the files and folders directly in a folder."""
        entries: list[RemoteEntry] = self._connector.list(remote_dir)
        return [_described(entry) for entry in entries]

    def stat(self, path: str) -> RemoteFileMeta | None:
        """Return what is at a path, if anything."""
        entry: RemoteEntry | None = self._connector.stat(path)
        return None if entry is None else _described(entry)

    def rename(self, path: str, new: str, *, replace: bool = False) -> None:
        """Rename a file."""
        self._connector.rename(path, new, replace=replace)

    @contextmanager
    def session(self) -> Iterator[Self]:
        """Give the connector itself: it keeps one connection, and makes it again when it breaks."""
        yield self

    def close(self) -> None:
        """Nothing to do: the run closes it."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __getattr__(self, name: str) -> Callable[..., Any]:
        found: Callable[..., Any] = getattr(self._connector, name)
        return found


def _described(entry: RemoteEntry) -> RemoteFileMeta:
    return RemoteFileMeta(
        rel_path=entry.name,
        path=entry.path,
        name=entry.name,
        is_dir=entry.is_dir,
        size=entry.size,
        mtime=None if entry.mtime is None else int(entry.mtime),
    )
