"""Explain the errors of file servers to the person on call: what happened, where, and what to do.

AF345 a path names no share or leaves it, AF346 a name that Windows does not allow, AF347 the server cannot
be reached, AF348 it does not answer or the connection broke, AF349 the login is refused, AF350 there is no
such share, AF351 no rights, AF352 nothing is at the path, AF353 the disk is full, AF354 the file is in use,
AF355 something else is in the place, AF356 any other answer, AF357 signing or encryption is impossible.
"""

from __future__ import annotations

import errno
import socket

from aetherflow import StepError
from aetherflow_smb.answers import CODES, LOGINS, LOOK, NO_SHARE, Means, meaning_of, status_name
from aetherflow_smb.settings import Login


def answer_failed(resource: str, doing: str, path: str, status: int) -> StepError:
    """Return the error for an answer to a request about a path, such as `read`."""
    case = meaning_of(status)
    return StepError(
        f"resource {resource!r}: cannot {doing} {path}: {case.said}",
        hint=case.hint,
        code=CODES[case.means],
        kind="connection" if case.may_pass else "other",
        detail={"resource": resource, "path": path, "status": f"0x{status:08X}"},
    )


def between_shares(resource: str, path: str, new: str) -> StepError:
    """Return the error for a rename to another share, which no server can do."""
    return StepError(
        f"resource {resource!r}: cannot rename {path} to {new}: they are on different shares",
        hint="rename within a share; between shares, download and upload the file",
        code="AF355",
    )


def share_failed(login: Login, host: str, share: str, status: int) -> StepError:
    """Return the error for a share that cannot be used at all."""
    case = meaning_of(status)
    if case.means is Means.MISSING:  # what a search for a DFS namespace of this name ends with
        case = NO_SHARE
    said = case.said
    if case.means is Means.NO_SHARE:
        said = "there is none of this name"
    if case.means is Means.NO_RIGHTS:
        said = f"{login.username or 'this user'} has no right to use it"
    return StepError(
        f"resource {login.resource!r}: cannot use the share {share!r} of {host}: {said}",
        hint=case.hint,
        code=CODES[case.means],
        kind="connection" if case.may_pass else "other",
        detail={"resource": login.resource, "share": share, "status": f"0x{status:08X}"},
    )


def login_refused(login: Login, status: int) -> StepError:
    """Return the error for a login that the server refuses; a retry could lock the account."""
    said, hint = LOGINS.get(status, (f"it answers {status_name(status)}", LOOK))
    who = login.username or "this user"
    return StepError(
        f"resource {login.resource!r}: {login.server} refuses the login of {who}: {said}",
        hint=hint,
        code="AF349",
        detail={"resource": login.resource, "status": f"0x{status:08X}"},
    )


def no_credentials(login: Login, error: BaseException) -> StepError:
    """Return the error for a login that does not get as far as the server: no user, no Kerberos ticket."""
    said = "with user and password"
    hint = "check user, password and domain of the resource"
    if login.username is None:
        said = "without a user: there is no Kerberos ticket either"
        hint = "give user and password; or make a ticket with kinit, and pip install 'smbprotocol[kerberos]'"
    return StepError(
        f"resource {login.resource!r}: cannot log in at {login.server} {said}",
        hint=hint,
        code="AF349",
        detail={"resource": login.resource, "cause": first_line(error)},
    )


def cannot_reach(login: Login, host: str, error: BaseException) -> StepError:
    """Return the error for a server to which no connection comes about."""
    from smbprotocol.exceptions import SMBConnectionClosed  # noqa: PLC0415 - an optional dependency

    cause = error.__cause__ or error
    where = f"{host}, port {login.port}"
    match cause:
        case socket.gaierror():
            said, hint = f"the name {host} is not known", "check server of the resource, and the DNS"
        case ConnectionRefusedError():
            said = f"{where}, refuses the connection"
            hint = "check server and port, and that the file server runs"
        case TimeoutError():
            said = f"{where}, does not answer within {login.timeout:g} s"
            hint = "check server and port, and the firewalls between; options: {timeout: 60} waits longer"
        case ConnectionError() | SMBConnectionClosed():
            said = f"{where}, ended the connection before the login"
            hint = "try again; a server that knows SMB 1 only does that too, and cannot be used"
        case OSError(errno=errno.EHOSTUNREACH | errno.ENETUNREACH):
            said, hint = f"there is no route to {host}", "check server, and the network of this machine"
        case _:
            said = f"{where}, does not speak SMB 2 or 3: {first_line(cause)}"
            hint = "check the port; a server that knows SMB 1 only cannot be used"
    return StepError(
        f"resource {login.resource!r}: {said}",
        hint=hint,
        code="AF347",
        kind="connection",
        detail={"resource": login.resource, "host": host, "port": login.port},
    )


def connection_lost(login: Login, doing: str, path: str, said: str) -> StepError:
    """Return the error for a connection that broke, or a server that stopped answering."""
    return StepError(
        f"resource {login.resource!r}: cannot {doing} {path}: {said}",
        hint="try again; retry: {max_attempts: 3} of the step does so",
        code="AF348",
        kind="connection",
        detail={"resource": login.resource, "path": path},
    )


def how_it_broke(login: Login, error: BaseException) -> str:
    """Return what to say of a connection that ended by this error of smbprotocol."""
    from smbprotocol.exceptions import SMBConnectionClosed  # noqa: PLC0415 - an optional dependency

    if isinstance(error, ConnectionError | SMBConnectionClosed):
        return f"{login.server} ended the connection"
    return f"the connection to {login.server} failed: {first_line(error)}"


def not_protected(login: Login, error: BaseException) -> StepError:
    """Return the error for a connection that cannot be signed or encrypted as the config says."""
    return StepError(
        f"resource {login.resource!r}: {login.server} cannot protect the connection: {first_line(error)}",
        hint="let the server allow SMB 3 with encryption; or set encrypt to false, if you must",
        code="AF357",
    )


def unprotected(login: Login) -> str:
    """Return the sentence about a connection that is neither signed nor encrypted."""
    return (
        f"resource {login.resource!r}: the connection to {login.server} is neither signed nor encrypted: "
        "others on the network can read and change files; set signing: true or encrypt: true"
    )


def first_line(error: BaseException) -> str:
    """Return the first line of an error's text."""
    lines = str(error).strip().splitlines()
    return lines[0][:300] if lines else type(error).__name__
