"""What the tests of the SFTP connector share."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aetherflow_sftp.sftp_connector import SftpFiles

from aetherflow import Resource, StepError


@asynccontextmanager
async def opened(config: dict[str, Any], **options: Any) -> AsyncIterator[SftpFiles]:
    """Open a connector in a block."""
    resource = Resource("box", "sftp", "asyncssh", config, {"timeout": 10, **options})
    connector = await SftpFiles.open(resource)
    try:
        yield connector
    finally:
        await connector.aclose()


async def login_error(config: dict[str, Any], **options: Any) -> StepError:
    """Return the error of the first use of a server."""
    async with opened(config, **options) as box:
        with pytest.raises(StepError) as caught:
            await box.stat("/")
    return caught.value


async def content(*blocks: bytes) -> AsyncIterator[bytes]:
    """Yield blocks to write."""
    for block in blocks:
        yield block
