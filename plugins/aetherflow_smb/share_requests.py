"""What needs only one small request: look at a file, read or write a small one, rename it, set its time.

Opening, the change and closing travel together.
"""

from __future__ import annotations

from aetherflow import RemoteEntry
from aetherflow_smb import packets
from aetherflow_smb.answers import END_OF_FILE, EXISTS, MISSING
from aetherflow_smb.share_line import Ask, Refused
from aetherflow_smb.share_paths import SharePath
from aetherflow_smb.windows_time import seconds, ticks


async def look(ask: Ask, path: SharePath) -> RemoteEntry | None:
    """Return what is at a path; None if nothing is there."""
    try:
        answer, _ = await ask(packets.create(path.inner, packets.READ_ATTRIBUTES), packets.close())
    except Refused as error:
        if error.status in MISSING:
            return None
        raise
    return _entry(path, packets.created(answer))


async def write_small(ask: Ask, path: SharePath, content: bytes) -> RemoteEntry | None:
    """Write a whole file of up to SMALL_BYTES; return what is there now, or None if that is not all of it."""
    access = packets.WRITE_DATA | packets.WRITE_ATTRIBUTES
    how = {"disposition": packets.OVERWRITE_IF, "options": packets.NO_FOLDER}
    opening = packets.create(path.inner, access, **how)
    writing = (packets.write(0, content),) if content else ()
    answers = await ask(opening, *writing, packets.close(describes=True))
    found = packets.closed(answers[-1])
    if found is None or found.size != len(content):
        return None
    return _entry(path, found)


async def read_small(ask: Ask, path: SharePath) -> bytes | None:
    """Return the content of a file of up to SMALL_BYTES; None if it is larger."""
    access = packets.READ_DATA | packets.READ_ATTRIBUTES
    opening = packets.create(path.inner, access, options=packets.NO_FOLDER)
    try:
        opened, read, _ = await ask(opening, packets.read(0, packets.SMALL_BYTES), packets.close())
    except Refused as error:
        if error.status == END_OF_FILE:
            return b""
        raise
    content = packets.content_of(read)
    return bytes(content) if len(content) == packets.created(opened).size else None


async def rename(ask: Ask, path: SharePath, new: SharePath, *, replaces: bool) -> bool:
    """Rename a file in one operation; return False if something is at `new` and `replaces` is false."""
    opening = packets.create(path.inner, packets.DELETE, options=packets.THE_LINK_ITSELF)
    try:
        await ask(opening, packets.rename(new.inner, replaces=replaces), packets.close())
    except Refused as error:
        if error.status == EXISTS and not replaces:
            return False
        raise
    return True


async def set_mtime(ask: Ask, path: SharePath, mtime: float) -> None:
    """Set when a file was changed, in seconds since 1970 UTC."""
    change = packets.set_changed(ticks(mtime))
    await ask(packets.create(path.inner, packets.WRITE_ATTRIBUTES), change, packets.close())


def _entry(path: SharePath, found: packets.Described) -> RemoteEntry:
    size = 0 if found.is_dir else found.size
    return RemoteEntry(path.written, size, seconds(found.changed), found.is_dir)
