"""A tree of precious files of every kind, and whether anything in it has changed."""

from __future__ import annotations

import hashlib
import os
import random
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple


class Thing(NamedTuple):
    """A file, folder or link as it is; of a folder the names in it count, not its times."""

    mode: int
    inode: int
    content: str
    changed: int


class Precious:
    """Trees of precious files round the places where AetherFlow works."""

    def __init__(self, outside: Path, chance: random.Random) -> None:
        """Use a folder outside of all those places for what links lead to."""
        self._chance = chance
        self._outside = outside
        self._places: list[Path] = []
        self._before: dict[Path, Thing] = {}
        outside.mkdir()
        self.file(outside / "file")
        self.file(outside / "folder" / "deep" / "file")
        self.file(outside / "hard")
        self.file(outside / "through" / "file")

    def file(self, path: Path, content: bytes = b"") -> Path:
        """Make one precious file."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content or b"precious " + self._chance.randbytes(self._chance.choice((1, 40, 5000))))
        self._places.append(path)
        return path

    def link(self, path: Path, target: str = "folder") -> Path:
        """Make a link that leads to something precious."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.symlink_to(self._outside / target)
        self._places.append(path)
        return path

    def tree(self, folder: Path) -> Path:
        """Make a tree of every kind of file in a folder, which may exist."""
        for name in ("report.pdf", ".hidden", "with space", "deep/er/file", "ü\n", "data.part", ".x.part"):
            self.file(folder / "precious" / name)
        base = folder / "precious"
        self.file(base / "read-only").chmod(0o444)
        self.file(base / "run.sh").chmod(0o755)
        (base / "empty").touch()
        (base / "empty folder").mkdir()
        (base / "link").symlink_to(self._outside / "folder")
        (base / "file link").symlink_to(self._outside / "file")
        (base / "dangling").symlink_to("nowhere")
        (base / "hard").hardlink_to(self._outside / "hard")
        os.mkfifo(base / "pipe")
        (base / "closed").mkdir(mode=0o500)
        self._places.append(base)
        return folder

    def forget(self, place: Path) -> None:
        """Delete what was planted at one place."""
        self._places = [path for path in self._places if not path.is_relative_to(place)]
        self._before = {path: it for path, it in self._before.items() if not path.is_relative_to(place)}
        if place.is_dir() and not place.is_symlink():
            shutil.rmtree(place)
        else:
            place.unlink()

    def remember(self) -> int:
        """Remember how everything is; return how many things there are."""
        self._before = self._now()
        return len(self._before)

    def changed(self) -> list[str]:
        """Return what is not as it was."""
        now = self._now()
        gone = [f"{path} is gone" for path in self._before.keys() - now.keys()]
        return gone + [
            f"{path}: {was} is now {now[path]}"
            for path, was in self._before.items()
            if path in now and now[path] != was
        ]

    def _now(self) -> dict[Path, Thing]:
        return {
            thing: _look(thing, may_grow=thing == self._outside / "through")
            for place in (self._outside, *self._places)
            for thing in _below(place)
            if os.path.lexists(thing)
        }


def _below(path: Path) -> Iterator[Path]:
    yield path
    if path.is_dir() and not path.is_symlink():
        for inner in path.iterdir():
            yield from _below(inner)


def _look(path: Path, *, may_grow: bool) -> Thing:
    found = path.lstat()
    if stat.S_ISLNK(found.st_mode):
        content = str(path.readlink())
    elif stat.S_ISDIR(found.st_mode):
        content = "" if may_grow else repr(sorted(os.listdir(path)))  # noqa: PTH208 - names only
    elif stat.S_ISREG(found.st_mode):
        content = hashlib.sha256(path.read_bytes()).hexdigest()
    else:
        content = ""
    changed = found.st_mtime_ns if stat.S_ISREG(found.st_mode) else 0
    return Thing(found.st_mode, found.st_ino, content, changed)
