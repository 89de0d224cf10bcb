"""Explain the errors of file servers to the person on call: what happened, where, and what to do.

AF345 a path names no share or leaves it, AF346 a name that Windows does not allow, AF347 the server cannot
be reached, AF348 it does not answer or the connection broke, AF349 the login is refused, AF350 there is no
such share, AF351 no rights, AF352 nothing is at the path, AF353 the disk is full, AF354 the file is in use,
AF355 something else is in the place, AF356 any other answer, AF357 signing or encryption is impossible.
"""

from __future__ import annotations

import errno
import socket
from enum import Enum, auto
from typing import NamedTuple

from aetherflow import StepError
from aetherflow_smb.settings import Login


class _Means(Enum):
    """What an answer of a server is about."""

    BAD_NAME = auto()
    LOST = auto()
    NO_SHARE = auto()
    NO_RIGHTS = auto()
    MISSING = auto()
    FULL = auto()
    IN_USE = auto()
    IN_PLACE = auto()
    OTHER = auto()


_CODES = {
    _Means.BAD_NAME: "AF346",
    _Means.LOST: "AF348",
    _Means.NO_SHARE: "AF350",
    _Means.NO_RIGHTS: "AF351",
    _Means.MISSING: "AF352",
    _Means.FULL: "AF353",
    _Means.IN_USE: "AF354",
    _Means.IN_PLACE: "AF355",
    _Means.OTHER: "AF356",
}


class _Case(NamedTuple):
    """What an answer of a server means: what follows `cannot read PATH: `, what to do."""

    said: str
    hint: str
    means: _Means
    may_pass: bool = False


_LOOK = "look into the log of the server"
_SAME_USER = "ask who administrates the server, or log in as another user"
_LOGINS = {
    0xC000006D: ("the user or the password is wrong", "check user, password and domain of the resource"),
    0xC000006A: ("the password is wrong", "check the password of the resource"),
    0xC0000064: ("there is no such user", "check user and domain of the resource"),
    0xC0000234: (
        "the account is locked after too many wrong passwords",
        "have it unlocked and correct the password; until then every attempt fails",
    ),
    0xC0000072: ("the account is disabled", _SAME_USER),
    0xC0000193: ("the account has expired", _SAME_USER),
    0xC0000071: ("the password has expired", "set a new password, and put it into the resource"),
    0xC0000224: ("the password must be changed at the first login", "log in as that user once and change it"),
    0xC000006E: ("the account is restricted: an empty password, or the hour or the machine", _SAME_USER),
    0xC000006F: ("the account may not log in at this hour", _SAME_USER),
    0xC0000070: ("the account may not log in from this machine", _SAME_USER),
    0xC000015B: ("the account may not log in over the network", _SAME_USER),
    0xC0000022: ("the server refuses this user", _SAME_USER),
    0xC000005E: (
        "the server finds no domain controller",
        "try again later, or ask who administrates the domain",
    ),
}
"""Answers to a login, by NTSTATUS."""

_NO_RIGHTS = _Case(
    "the user has no right to do that",
    "give the user the right on the share and on the folder",
    _Means.NO_RIGHTS,
)
_MISSING = _Case(
    "nothing is there", "check the path; smb_list_files shows what is in a folder", _Means.MISSING
)
_NO_FOLDER = _Case("its folder does not exist", "check the path, or make the folder first", _Means.MISSING)
_NO_SHARE = _Case(
    "the server has no such share", "check share of the resource, and the path", _Means.NO_SHARE
)
_FULL = _Case("the disk of the server is full", "make room on the server", _Means.FULL)
_IN_USE = _Case(
    "another program has it open", "wait until it is closed, and retry", _Means.IN_USE, may_pass=True
)
_EXISTS = _Case("something with this name exists", "move it away, or let it be replaced", _Means.IN_PLACE)
_IS_FOLDER = _Case("it is a folder", "name a file", _Means.IN_PLACE)
_IS_FILE = _Case(
    "a file is in the place of a folder", "name a folder, or move the file away", _Means.IN_PLACE
)
_BAD_NAME = _Case("the server does not allow the name", "rename the file", _Means.BAD_NAME)
_BUSY = _Case("the server has no resources left", "try again later", _Means.OTHER, may_pass=True)
_GONE = _Case("the server has ended the session", "try again", _Means.LOST, may_pass=True)
_ANSWERS = {
    0xC0000022: _NO_RIGHTS,
    0xC0000061: _NO_RIGHTS,
    0xC00000A2: _Case("the share or its disk is write-protected", "write to another share", _Means.NO_RIGHTS),
    0xC0000121: _Case("it is protected against deletion", "remove its attribute read-only", _Means.NO_RIGHTS),
    0xC0000034: _MISSING,
    0xC000003A: _NO_FOLDER,
    0xC000000F: _MISSING,
    0xC0000225: _MISSING,
    0xC0000056: _Case(
        "it is being deleted", "wait until the program that has it open ends", _Means.IN_USE, may_pass=True
    ),
    0xC00000CC: _NO_SHARE,
    0xC000007F: _FULL,
    0xC0000044: _Case(
        "the quota of the user is used up", "delete files of this user, or raise the quota", _Means.FULL
    ),
    0xC0000904: _Case("it is larger than the disk of the server allows", "write it elsewhere", _Means.FULL),
    0xC0000043: _IN_USE,
    0xC0000054: _IN_USE,
    0xC0000055: _IN_USE,
    0xC0000035: _EXISTS,
    0xC00000BA: _IS_FOLDER,
    0xC0000103: _IS_FILE,
    0xC0000101: _Case("the folder is not empty", "delete what is in it first", _Means.IN_PLACE),
    0xC0000033: _BAD_NAME,
    0xC000003B: _BAD_NAME,
    0xC0000039: _BAD_NAME,
    0xC0000106: _Case("the path is too long for the server", "use shorter names", _Means.BAD_NAME),
    0xC000009A: _BUSY,
    0xC0000205: _BUSY,
    0xC00000D0: _BUSY,
    0xC0000203: _GONE,
    0xC000035C: _GONE,
    0xC00000C9: _GONE,
    0xC000020C: _GONE,
    0xC0000257: _Case(
        "it is on another server of a DFS namespace", "set dfs: true in the config", _Means.OTHER
    ),
}
"""Answers to what a transfer does, by NTSTATUS."""

MISSING = frozenset(
    status for status, case in _ANSWERS.items() if case.means is _Means.MISSING or case is _IS_FILE
)
"""The answers that mean: nothing is at this path."""

NO_RIGHTS = frozenset(status for status, case in _ANSWERS.items() if case.means is _Means.NO_RIGHTS)
"""The answers that mean: the user may not."""

EXISTS = 0xC0000035
"""The answer that means: something is at the new path."""

IS_FILE = 0xC0000103
"""The answer that means: a file is in the place of a folder."""


def status_of(error: BaseException) -> int | None:
    """Return the NTSTATUS of an error of smbprotocol; None if it is no answer of the server."""
    status = getattr(error, "ntstatus", None) or getattr(error, "status", None)
    return status if isinstance(status, int) else None


def _answer(status: int) -> _Case:
    unknown = _Case(f"the server answers {status_name(status)}", _LOOK, _Means.OTHER)
    return _ANSWERS.get(status, unknown)


def answer_failed(resource: str, doing: str, path: str, status: int) -> StepError:
    """Return the error for an answer to a request about a path, such as `read`."""
    case = _answer(status)
    return StepError(
        f"resource {resource!r}: cannot {doing} {path}: {case.said}",
        hint=case.hint,
        code=_CODES[case.means],
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
    case = _answer(status)
    if case.means is _Means.MISSING:  # what a search for a DFS namespace of this name ends with
        case = _NO_SHARE
    said = case.said
    if case.means is _Means.NO_SHARE:
        said = "there is none of this name"
    if case.means is _Means.NO_RIGHTS:
        said = f"{login.username or 'this user'} has no right to use it"
    return StepError(
        f"resource {login.resource!r}: cannot use the share {share!r} of {host}: {said}",
        hint=case.hint,
        code=_CODES[case.means],
        kind="connection" if case.may_pass else "other",
        detail={"resource": login.resource, "share": share, "status": f"0x{status:08X}"},
    )


def login_refused(login: Login, status: int) -> StepError:
    """Return the error for a login that the server refuses; a retry could lock the account."""
    said, hint = _LOGINS.get(status, (f"it answers {status_name(status)}", _LOOK))
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


def status_name(status: int) -> str:
    """Return the name of an NTSTATUS, and its number."""
    from smbprotocol.header import NtStatus  # noqa: PLC0415 - an optional dependency

    names = [name for name, value in vars(NtStatus).items() if value == status]
    return f"{names[0]} (0x{status:08X})" if names else f"0x{status:08X}"
