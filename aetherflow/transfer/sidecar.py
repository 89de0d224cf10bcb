"""The checksum of a file on the far side: computed there, or in a file `NAME.sha256` beside it."""

from __future__ import annotations

import re

from aetherflow.errors import StepError
from aetherflow.sdk.remote_files import RemoteFiles
from aetherflow.transfer.target_names import last_part
from aetherflow.transfer.way import Item

SUFFIX = ".sha256"
MOST_BYTES = 64 * 1024
"""A file with the checksum of one file is not larger than this."""

_LINE = re.compile(r"\s*([0-9a-fA-F]{64})(?:\s+[ *]?(.*?))?\s*")


async def expected_checksum(remote: RemoteFiles, item: Item) -> str:
    """Return the checksum that a download must have: of the listing, of the server, or of the sidecar.

    Raises:
        StepError: nothing has it (AF319).
    """
    found = item.sha256 or await remote.sha256(item.source)
    if found is None and await remote.stat(f"{item.source}{SUFFIX}") is not None:
        async with remote.read(f"{item.source}{SUFFIX}") as blocks:
            content = b""
            async for block in blocks:
                content += block
                if len(content) > MOST_BYTES:
                    break
        found = checksum_in(content.decode("utf-8", "replace"), last_part(item.source))
    if found is None:
        raise StepError(
            f"there is no checksum of {item.source}, neither of the server nor in a file {SUFFIX} beside it",
            hint="choose verify: size, or let the sender write the file with `sha256sum NAME > NAME.sha256`",
            code="AF319",
        )
    return found


def checksum_in(text: str, name: str) -> str | None:
    """Return the checksum of a file in the text of `sha256sum`: its line, or the only one."""
    lines = [found for line in text.splitlines() if (found := _LINE.fullmatch(line))]
    named = [found[1] for found in lines if found[2] and last_part(found[2]) == name]
    if named:
        return named[0]
    return lines[0][1] if len(lines) == 1 and not lines[0][2] else None
