"""Rename files on servers that differ in what they can do."""

from __future__ import annotations

import posixpath
from typing import TYPE_CHECKING

import asyncssh

from aetherflow import files
from aetherflow_sftp.failures import Server, operation_failed

if TYPE_CHECKING:
    from aetherflow_sftp.sftp_session import Session


async def rename_new(session: Session, server: Server, path: str, new: str) -> None:
    """Rename a file to a name that nothing has.

    Raises:
        StepError: something has the name.
    """
    try:
        await session.ask(session.client.rename(path, new))
    except asyncssh.SFTPFailure as error:
        if not await session.ask(session.client.lexists(path)):
            raise asyncssh.SFTPNoSuchFile("") from error
        if await session.ask(session.client.lexists(new)):
            exists = asyncssh.SFTPFileAlreadyExists("")
            raise operation_failed(server, "rename a file to", new, exists) from error
        raise


async def replace_file(session: Session, path: str, new: str) -> None:
    """Rename a file, and replace one that has the name: in one operation if the server has that."""
    try:
        await session.ask(session.client.posix_rename(path, new))
    except asyncssh.SFTPOpUnsupported:
        await _replace_in_steps(session, path, new)


async def _replace_in_steps(session: Session, path: str, new: str) -> None:
    """Give the old file another name until the new one is in its place; at no time is neither there."""
    client = session.client
    try:
        await session.ask(client.rename(path, new))
    except asyncssh.SFTPFailure:
        if not await session.ask(client.lexists(path)):
            raise asyncssh.SFTPNoSuchFile("") from None
        if not await session.ask(client.lexists(new)):
            raise
    else:
        return
    aside = posixpath.join(posixpath.dirname(new), files.temporary_name(posixpath.basename(new)))
    await session.ask(client.rename(new, aside))
    try:
        await session.ask(client.rename(path, new))
    except asyncssh.SFTPError:
        await session.ask(client.rename(aside, new))
        raise
    await session.ask(client.remove(aside))
