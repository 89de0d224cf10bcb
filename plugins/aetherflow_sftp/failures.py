"""Explain what a server answers to an operation on files: what happened, where, and what to do."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import asyncssh
import msgspec

from aetherflow import StepError
from aetherflow_sftp.login_failures import one_line

if TYPE_CHECKING:
    from aetherflow_sftp.sftp_session import Session


_ANSWERS: tuple[tuple[tuple[type[asyncssh.SFTPError], ...], str, str, str], ...] = (
    (
        (asyncssh.SFTPNoSuchFile, asyncssh.SFTPNoSuchPath),
        "it does not exist, or its folder does not",
        "check the path; a relative one starts at the folder of the login",
        "AF339",
    ),
    (
        (asyncssh.SFTPPermissionDenied, asyncssh.SFTPWriteProtect, asyncssh.SFTPCannotDelete),
        "this user may not do that",
        "have the user of this resource given the right to it, or choose another path",
        "AF340",
    ),
    ((asyncssh.SFTPNoSpaceOnFilesystem,), "the disk of the server is full", "make room there", "AF341"),
    (
        (asyncssh.SFTPQuotaExceeded,),
        "the user's quota on the server is used up",
        "make room, or have the quota raised",
        "AF341",
    ),
    ((asyncssh.SFTPFileAlreadyExists,), "it exists already", "choose another name, or delete it", "AF342"),
    ((asyncssh.SFTPNotADirectory,), "a part of the path is a file", "check the path", "AF342"),
    ((asyncssh.SFTPFileIsADirectory,), "it is a folder", "check the path", "AF342"),
    ((asyncssh.SFTPDirNotEmpty,), "the folder is not empty", "delete what is in it first", "AF342"),
    ((asyncssh.SFTPLinkLoop,), "it is a loop of links", "correct the links on the server", "AF342"),
)
"""What a server may answer: types of errors, what they mean, what to do, and the code."""


class Server(msgspec.Struct, frozen=True):
    """The server of a resource as messages name it, and how long it may be silent, in seconds."""

    resource: str
    place: str
    timeout: float


@contextmanager
def explained(server: Server, doing: str, path: str, session: Session | None = None) -> Iterator[None]:
    """Turn the library's errors in the block into StepErrors.

    Args:
        server: the server.
        doing: what is done with the path, as in `cannot write`.
        path: the path on the server.
        session: the session that is used; if the connection breaks, it is marked as broken.

    Raises:
        StepError: the server refuses, or the connection breaks (kind "connection").
    """
    try:
        yield
    except (
        asyncssh.SFTPNoConnection,
        asyncssh.SFTPConnectionLost,
        asyncssh.DisconnectError,
        OSError,
    ) as error:
        if session is not None:
            session.is_broken = True
        raise connection_lost(server, session, doing, path, error) from error
    except (asyncssh.SFTPError, asyncssh.ChannelOpenError) as error:
        raise operation_failed(server, doing, path, error) from error


def connection_lost(
    server: Server, session: Session | None, doing: str, path: str, error: BaseException
) -> StepError:
    """Return the error for a connection that broke while something was done with a path."""
    if session is not None and session.silence.has_fired:
        why = f"{server.place} stopped answering for {server.timeout:g} s"
        hint = "the next attempt connects again; options.timeout says how long to wait"
    else:
        why = f"the connection to {server.place} was lost: {one_line(error)}"
        hint = "the next attempt connects again; check the network and the log of the server"
    return StepError(
        f"resource {server.resource!r}: cannot {doing} {shown(path)}: {why}",
        hint=hint,
        kind="connection",
        code="AF337",
        detail=_detail(server, path),
    )


def operation_failed(server: Server, doing: str, path: str, error: BaseException) -> StepError:
    """Return the error for what a server refuses or cannot do."""
    refusal = (
        (asyncssh.SFTPError,),
        f"the server refuses it: {one_line(error)}",
        "check the path, rights, quota and free space on the server",
        "AF342",
    )
    _, why, hint, code = next((one for one in _ANSWERS if isinstance(error, one[0])), refusal)
    return StepError(
        f"resource {server.resource!r}: cannot {doing} {shown(path)} on {server.place}: {why}",
        hint=hint,
        code=code,
        detail=_detail(server, path),
    )


def disk_full(server: Server, path: str) -> StepError:
    """Return the error for a server whose file system has no room."""
    return StepError(
        f"resource {server.resource!r}: cannot write {shown(path)} on {server.place}: "
        "the disk of the server is full",
        hint="make room there",
        code="AF341",
        detail=_detail(server, path),
    )


def bad_name(server: Server, folder: str, name: str) -> StepError:
    """Return the error for a server that lists a name that is a path, as if to lead out of the folder."""
    return StepError(
        f"resource {server.resource!r}: {server.place} lists a file in {shown(folder)} whose name is a path: "
        f"{shown(name)}",
        hint="a file name has no / in it: have the server checked before anything is taken from it",
        code="AF343",
        detail=_detail(server, folder),
    )


def shown(path: str) -> str:
    """Return a path for a message: with control characters and bytes that are not UTF-8 made visible."""
    text = path.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    visible = "".join(
        one if one.isprintable() else one.encode("unicode_escape").decode("ascii") for one in text
    )
    return visible or "the login folder"


def _detail(server: Server, path: str) -> dict[str, object]:
    return {"resource": server.resource, "server": server.place, "path": shown(path)}
