"""Check an SFTP server for `doctor --connect`: its host key, the login, the rights, the free space."""

from __future__ import annotations

from typing import TYPE_CHECKING

import asyncssh

from aetherflow import CheckResult, StepError, checks
from aetherflow_sftp.host_keys import fingerprint, known_hosts_line
from aetherflow_sftp.login_failures import HostKeyRefused
from aetherflow_sftp.ssh_login import shown_key

if TYPE_CHECKING:
    from asyncssh.public_key import SSHKey

    from aetherflow_sftp.ssh_link import SshLink

PROBE_SECONDS = 5.0


async def check_server(link: SshLink) -> list[CheckResult]:
    """Return what can be found out about the server without changing anything there."""
    try:
        connection = await link.connection()
    except HostKeyRefused as error:
        return [_failure(link, "host key", error)]
    except StepError as error:
        return [*await _probed(link, error), _failure(link, "login", error)]
    key = connection.get_server_host_key()
    found = [] if key is None else [_key_check(link, key)]
    user, cipher = (connection.get_extra_info(name) for name in ("username", "send_cipher"))
    found.append(CheckResult("login", "ok", f"logged in as {user} on {link.config.place} (cipher {cipher})"))
    try:
        return found + await _session_checks(link)
    except StepError as error:
        return [*found, _failure(link, "sftp", error)]


def _failure(link: SshLink, subject: str, error: StepError) -> CheckResult:
    return CheckResult(
        subject, "error", error.message.removeprefix(f"resource {link.resource!r}: "), error.hint
    )


async def _probed(link: SshLink, error: StepError) -> list[CheckResult]:
    """Return the host key of a server that rejects the login, if it can be had."""
    if error.kind == "connection" or link.config.jump is not None:
        return []
    key = await shown_key(link.config, PROBE_SECONDS)
    return [] if key is None else [_key_check(link, key)]


def _key_check(link: SshLink, key: SSHKey) -> CheckResult:
    line = known_hosts_line(link.config, key)
    message = f"the server shows {fingerprint(key)}; its line in known_hosts: {line}"
    if not link.config.insecure_host_key:
        return CheckResult("host key", "ok", message)
    return CheckResult(
        "host key",
        "warning",
        f"it is not checked (insecure_host_key: true); {message}",
        "compare the fingerprint with what the owner of the server says, write it as config.host_key, and "
        "delete insecure_host_key",
    )


async def _session_checks(link: SshLink) -> list[CheckResult]:
    session = await link.lend("look at", "")
    try:
        with session.explained("look at", ""):
            folder = str(await session.client.realpath("."))
            found = [await _read_check(session.client, folder)]
            return found + await _space_checks(session.client, folder)
    finally:
        session.users -= 1


async def _read_check(client: asyncssh.SFTPClient, folder: str) -> CheckResult:
    try:
        count = len(set(await client.listdir(folder)) - {".", ".."})
    except asyncssh.SFTPPermissionDenied:
        return CheckResult(
            "read",
            "warning",
            f"the login folder {folder} may not be listed",
            "use other folders of the server",
        )
    return CheckResult("read", "ok", f"{count} entries in the login folder {folder}")


async def _space_checks(client: asyncssh.SFTPClient, folder: str) -> list[CheckResult]:
    try:
        found = await client.statvfs(folder)
    except asyncssh.SFTPError:
        return []  # the server does not report it
    return [checks.free_space_check(found.bavail * found.frsize, f"in {folder} on the server")]
