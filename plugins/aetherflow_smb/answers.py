"""What the answers of a file server (NTSTATUS) mean: one sentence, one hint and one code for each."""

from __future__ import annotations

from enum import Enum, auto
from typing import NamedTuple


class Means(Enum):
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


CODES = {
    Means.BAD_NAME: "AF346",
    Means.LOST: "AF348",
    Means.NO_SHARE: "AF350",
    Means.NO_RIGHTS: "AF351",
    Means.MISSING: "AF352",
    Means.FULL: "AF353",
    Means.IN_USE: "AF354",
    Means.IN_PLACE: "AF355",
    Means.OTHER: "AF356",
}


class Meaning(NamedTuple):
    """What an answer of a server means: what follows `cannot read PATH: `, what to do."""

    said: str
    hint: str
    means: Means
    may_pass: bool = False


LOOK = "look into the log of the server"
_SAME_USER = "ask who administrates the server, or log in as another user"
LOGINS = {
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

_NO_RIGHTS = Meaning(
    "the user has no right to do that",
    "give the user the right on the share and on the folder",
    Means.NO_RIGHTS,
)
_MISSING = Meaning(
    "nothing is there", "check the path; smb_list_files shows what is in a folder", Means.MISSING
)
_NO_FOLDER = Meaning("its folder does not exist", "check the path, or make the folder first", Means.MISSING)
NO_SHARE = Meaning(
    "the server has no such share", "check share of the resource, and the path", Means.NO_SHARE
)
_FULL = Meaning("the disk of the server is full", "make room on the server", Means.FULL)
_IN_USE = Meaning(
    "another program has it open", "wait until it is closed, and retry", Means.IN_USE, may_pass=True
)
_EXISTS = Meaning("something with this name exists", "move it away, or let it be replaced", Means.IN_PLACE)
_IS_FOLDER = Meaning("it is a folder", "name a file", Means.IN_PLACE)
_IS_FILE = Meaning(
    "a file is in the place of a folder", "name a folder, or move the file away", Means.IN_PLACE
)
_BAD_NAME = Meaning("the server does not allow the name", "rename the file", Means.BAD_NAME)
_BUSY = Meaning("the server has no resources left", "try again later", Means.OTHER, may_pass=True)
_GONE = Meaning("the server has ended the session", "try again", Means.LOST, may_pass=True)
_ANSWERS = {
    0xC0000022: _NO_RIGHTS,
    0xC0000061: _NO_RIGHTS,
    0xC00000A2: Meaning(
        "the share or its disk is write-protected", "write to another share", Means.NO_RIGHTS
    ),
    0xC0000121: Meaning(
        "it is protected against deletion", "remove its attribute read-only", Means.NO_RIGHTS
    ),
    0xC0000034: _MISSING,
    0xC000003A: _NO_FOLDER,
    0xC000000F: _MISSING,
    0xC0000225: _MISSING,
    0xC0000056: Meaning(
        "it is being deleted", "wait until the program that has it open ends", Means.IN_USE, may_pass=True
    ),
    0xC00000CC: NO_SHARE,
    0xC000007F: _FULL,
    0xC0000044: Meaning(
        "the quota of the user is used up", "delete files of this user, or raise the quota", Means.FULL
    ),
    0xC0000904: Meaning("it is larger than the disk of the server allows", "write it elsewhere", Means.FULL),
    0xC0000043: _IN_USE,
    0xC0000054: _IN_USE,
    0xC0000055: _IN_USE,
    0xC0000035: _EXISTS,
    0xC00000BA: _IS_FOLDER,
    0xC0000103: _IS_FILE,
    0xC0000101: Meaning("the folder is not empty", "delete what is in it first", Means.IN_PLACE),
    0xC0000033: _BAD_NAME,
    0xC000003B: _BAD_NAME,
    0xC0000039: _BAD_NAME,
    0xC0000106: Meaning("the path is too long for the server", "use shorter names", Means.BAD_NAME),
    0xC000009A: _BUSY,
    0xC0000205: _BUSY,
    0xC00000D0: _BUSY,
    0xC0000203: _GONE,
    0xC000035C: _GONE,
    0xC00000C9: _GONE,
    0xC000020C: _GONE,
    0xC0000257: Meaning(
        "it is on another server of a DFS namespace", "set dfs: true in the config", Means.OTHER
    ),
}
"""Answers to what a transfer does, by NTSTATUS."""

MISSING = frozenset(
    status for status, case in _ANSWERS.items() if case.means is Means.MISSING or case is _IS_FILE
)
"""The answers that mean: nothing is at this path."""

NO_RIGHTS = frozenset(status for status, case in _ANSWERS.items() if case.means is Means.NO_RIGHTS)
"""The answers that mean: the user may not."""

EXISTS = 0xC0000035
"""The answer that means: something is at the new path."""

IS_FILE = 0xC0000103
"""The answer that means: a file is in the place of a folder."""

END_OF_FILE = 0xC0000011
"""The answer that means: the file ends before what is read."""

STOPPED_ON_LINK = 0x8000002D
"""The answer that means: a link is on the way, which the server does not follow."""


def status_of(error: BaseException) -> int | None:
    """Return the NTSTATUS of an error of smbprotocol; None if it is no answer of the server."""
    status = getattr(error, "ntstatus", None) or getattr(error, "status", None)
    return status if isinstance(status, int) else None


def meaning_of(status: int) -> Meaning:
    """Return what the answer to a request means; an unknown one is named."""
    unknown = Meaning(f"the server answers {status_name(status)}", LOOK, Means.OTHER)
    return _ANSWERS.get(status, unknown)


def status_name(status: int) -> str:
    """Return the name of an NTSTATUS, and its number."""
    from smbprotocol.header import NtStatus  # noqa: PLC0415 - an optional dependency

    names = [name for name, value in vars(NtStatus).items() if value == status]
    return f"{names[0]} (0x{status:08X})" if names else f"0x{status:08X}"
