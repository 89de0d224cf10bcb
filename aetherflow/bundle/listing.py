"""What a source holds: its files, checked as they are listed, and how they differ from what is here."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import cast

import msgspec

from aetherflow.bundle.index import Entry, is_same
from aetherflow.bundle.limits import Limits
from aetherflow.bundle.names import Names
from aetherflow.bundle.source import BundleFile, BundleSource
from aetherflow.errors import BundleError


class Difference(msgspec.Struct, frozen=True):
    """How many files a sync would fetch for the first time, fetch again, and drop."""

    added: int
    changed: int
    removed: int

    def __bool__(self) -> bool:
        return bool(self.added or self.changed or self.removed)


async def list_files(source: BundleSource, limits: Limits) -> dict[str, BundleFile]:
    """Return the files of a source by path.

    Raises:
        BundleError: it cannot be listed, or holds too much, or what may not be in a bundle.
    """
    names, files, total = Names(), dict[str, BundleFile](), 0
    try:
        async with aclosing(cast("AsyncGenerator[BundleFile]", source.list())) as listing:
            async for file in listing:
                total += file.size
                limits.check(len(files) + 1, file, total)
                names.add(file.path)
                files[file.path] = file
    except OSError as error:
        raise unreadable("the source cannot be listed", error) from None
    return files


async def read_file(source: BundleSource, file: BundleFile) -> AsyncGenerator[bytes]:
    """Yield what the source sends of a file.

    Raises:
        BundleError: it cannot be read.
    """
    try:
        async with aclosing(cast("AsyncGenerator[bytes]", source.read(file))) as chunks:
            async for chunk in chunks:
                yield chunk
    except OSError as error:  # of the source: whoever takes the pieces deals with its own
        raise unreadable(f"{file.path} cannot be read from the source", error) from None


def difference(known: dict[str, Entry], listed: dict[str, BundleFile], *, strict: bool) -> Difference:
    """Compare by fingerprint; with `strict`, what can only be told by its content counts as changed."""
    same = sum(
        path in known and is_same(known[path].listed, file, strict=strict) for path, file in listed.items()
    )
    added = len(listed.keys() - known.keys())
    return Difference(added, len(listed) - added - same, len(known.keys() - listed.keys()))


def unreadable(what: str, error: OSError) -> BundleError:
    """Return the error for what a source's libraries raised."""
    reason = error.strerror or str(error) or type(error).__name__
    return BundleError(f"{what}: {reason.lower()}", hint="look at the source", code="AF856")
