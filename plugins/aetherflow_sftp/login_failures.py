"""Explain why a connection to an SSH server could not be made: what happened, and what to do."""

from __future__ import annotations

import errno
import socket

from asyncssh import SSHKey

from aetherflow import StepError
from aetherflow_sftp.host_keys import TrustedKeys, fingerprint, known_hosts_line
from aetherflow_sftp.settings import Login

UNREACHABLE = {errno.EHOSTUNREACH, errno.ENETUNREACH, errno.ENETDOWN}
SHOWN_TEXT = 300


class HostKeyRefused(StepError):
    """The host key of a server is unknown, is another one, or must not be used."""


class Shown:
    """What a server showed while a connection to it was made.

    Attributes:
        key: its host key, if it is not trusted.
        banner: the text that it sent before the login.
        is_known: whether a key of this server is trusted.
    """

    def __init__(self) -> None:
        self.key: SSHKey | None = None
        self.banner = ""
        self.is_known = False


def connection_failed(resource: str, login: Login, error: BaseException, timeout: float) -> StepError:
    """Return the error for a server that cannot be reached, or that answers wrongly."""
    start = f"resource {resource!r}: "
    match error:
        case socket.gaierror():
            message = f"the name of the server {login.host} cannot be resolved: {error.strerror}"
            hint = "check config.host, and the DNS of this machine"
        case ConnectionRefusedError():
            message = f"{login.place} refuses the connection: nothing listens on port {login.port}"
            hint = "check config.port, and that the SSH server runs"
        case TimeoutError():
            message = f"{login.place} did not answer within {timeout:g} s"
            hint = "check host, port and firewall; options.timeout says how long to wait"
        case OSError() if error.errno in UNREACHABLE:
            message = f"{login.place} cannot be reached: {error.strerror}"
            hint = "check config.host, the network and the firewall"
        case _:
            message = f"the connection to {login.place} broke off before the login: {one_line(error)}"
            hint = (
                "check that an SSH server listens on that port; a server with too many connections does "
                "that too (MaxStartups), so let the step retry"
            )
    return StepError(
        start + message, hint=hint, kind="connection", code="AF330", detail=_detail(resource, login)
    )


def host_key_failed(
    resource: str, login: Login, key: SSHKey, trusted: TrustedKeys, *, is_known: bool
) -> HostKeyRefused:
    """Return the error for a server whose key is not trusted: it is unknown, or it is another one."""
    line = known_hosts_line(login, key)
    if not is_known and not trusted.fingerprints:
        return HostKeyRefused(
            f"resource {resource!r}: the host key of {login.place} is unknown: {fingerprint(key)}; "
            f"the line for known_hosts is: {line}",
            hint=f"compare the fingerprint with what the owner of the server says, then add the line to "
            f"{trusted.origin}, or set config.host_key",
            code="AF331",
            detail={**_detail(resource, login), "fingerprint": key.get_fingerprint(), "known_hosts": line},
        )
    return HostKeyRefused(
        f"resource {resource!r}: {login.place} shows another host key than {trusted.origin} has: "
        f"{fingerprint(key)}; the line for known_hosts would be: {line}",
        hint="another machine may answer in its place: ask the owner of the server; if the key was changed "
        "on purpose, replace the old one by this line",
        code="AF332",
        detail={**_detail(resource, login), "fingerprint": key.get_fingerprint(), "known_hosts": line},
    )


def host_key_rejected(
    resource: str, login: Login, error: BaseException, trusted: TrustedKeys
) -> HostKeyRefused:
    """Return the error for a key that is revoked, or a certificate that is not valid."""
    return HostKeyRefused(
        f"resource {resource!r}: the host key of {login.place} must not be used: {one_line(error)}",
        hint=f"see {trusted.origin}, and ask the owner of the server",
        code="AF332",
        detail=_detail(resource, login),
    )


def login_rejected(resource: str, login: Login, user: str, banner: str, error: BaseException) -> StepError:
    """Return the error for a login that the server rejects; it does not say why."""
    ways = [
        name
        for name, is_used in (
            ("the key", login.pkey is not None or login.pkey_path is not None),
            ("the keys of the agent", bool(login.agent)),
            ("the password", login.password is not None),
        )
        if is_used
    ]
    how = " and ".join(ways) or "the keys in ~/.ssh and of the agent"
    message = (
        f"resource {resource!r}: {login.place} rejects the login of {user} with {how}: {one_line(error)}"
    )
    if banner:
        message += f"; the server says: {' '.join(banner.split())[:SHOWN_TEXT]}"
    return StepError(
        message,
        hint="check user, password and key; a locked or expired account and a user who may not log in are "
        "rejected in the same way, and only the server's log says which it is",
        code="AF333",
        detail={**_detail(resource, login), "user": user},
    )


def no_common_way(resource: str, login: Login, error: BaseException) -> StepError:
    """Return the error for a server with which no cipher, key exchange or the like is shared."""
    return StepError(
        f"resource {resource!r}: no common algorithm with {login.place}: {one_line(error)}",
        hint="offer another cipher in config.ciphers, or have the server updated",
        code="AF336",
        detail=_detail(resource, login),
    )


def no_sftp(resource: str, place: str, error: BaseException) -> StepError:
    """Return the error for a server that accepts the login, and offers no SFTP."""
    return StepError(
        f"resource {resource!r}: {place} accepts the login, but offers this user no SFTP: {one_line(error)}",
        hint="ask for SFTP access (Subsystem sftp in the server's configuration, and a shell or ForceCommand "
        "internal-sftp for this user)",
        code="AF338",
        detail={"resource": resource, "server": place},
    )


def one_line(error: BaseException) -> str:
    """Return the words of an error in one line, or its type if it has none."""
    return " ".join(str(error).split())[:SHOWN_TEXT] or type(error).__name__


def _detail(resource: str, login: Login) -> dict[str, object]:
    return {"resource": resource, "server": login.host, "port": login.port}
