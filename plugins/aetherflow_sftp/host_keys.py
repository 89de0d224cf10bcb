"""Decide which host keys are trusted, and show the key of a server: fingerprint and line of known_hosts."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from asyncssh import SSHKey, SSHKnownHosts

from aetherflow import ConfigError, StepError
from aetherflow_sftp.settings import DEFAULT_PORT, Login

FINGERPRINT = "SHA256:"
_KEY_TYPES = ("ssh-", "ecdsa-", "sk-")


class TrustedKeys:
    """The host keys that a resource trusts for a server.

    Attributes:
        origin: where they come from, for messages.
        fingerprints: the trusted keys of which only the fingerprint is known.
    """

    def __init__(self, known: SSHKnownHosts, fingerprints: frozenset[str], origin: str) -> None:
        self.known = known
        self.fingerprints = fingerprints
        self.origin = origin

    def has(self, login: Login, key: SSHKey) -> bool:
        """Return whether a key of a server is trusted."""
        return key in self.known.match(login.host, "", _port(login))[0]


def trusted_keys(login: Login, resource: str) -> TrustedKeys:
    """Read the trusted host keys of a server; blocking.

    Raises:
        ConfigError: `host_key` is no key.
        StepError: the file of `known_hosts` cannot be read.
    """
    if login.host_key is not None:
        return _given_keys(login, resource)
    if login.known_hosts is not None:
        return TrustedKeys(
            _read_all([Path(login.known_hosts)], resource), frozenset(), str(login.known_hosts)
        )
    files = [Path.home() / ".ssh" / "known_hosts", Path("/etc/ssh/ssh_known_hosts")]
    present = [file for file in files if file.is_file()]
    return TrustedKeys(_read_all(present, resource), frozenset(), str(files[0]))


def known_hosts_line(login: Login, key: SSHKey) -> str:
    """Return the line that makes known_hosts trust this key of the server."""
    words = key.export_public_key("openssh").decode("ascii").split()
    return f"{_host_pattern(login)} {words[0]} {words[1]}"


def fingerprint(key: SSHKey) -> str:
    """Return type and fingerprint of a key, as ssh-keygen shows them."""
    return f"{key.get_algorithm()} {key.get_fingerprint()}"


def _port(login: Login) -> int | None:
    return None if login.port == DEFAULT_PORT else login.port


def _host_pattern(login: Login) -> str:
    return login.host if login.port == DEFAULT_PORT else f"[{login.host}]:{login.port}"


def _given_keys(login: Login, resource: str) -> TrustedKeys:
    given = [login.host_key] if isinstance(login.host_key, str) else login.host_key or []
    known, fingerprints = SSHKnownHosts(), set()
    for text in map(str.strip, given):
        if text.startswith(FINGERPRINT):
            fingerprints.add(text.rstrip("="))
            continue
        is_key = text.startswith(_KEY_TYPES)
        line = f"{_host_pattern(login)} {text}" if is_key else text
        one = SSHKnownHosts()
        if not _load(one, line) or not any(one.match(login.host, "", _port(login))):
            raise ConfigError(
                f"resource {resource!r}: config.host_key of {login.place} is no key for it: {text[:40]}...",
                hint="write it as ssh-keyscan shows it, or SHA256:... as ssh-keygen -l shows it; "
                "aetherflow doctor --connect FLOW shows both",
                code="AF335",
            )
        _load(known, line)
    return TrustedKeys(known, frozenset(fingerprints), "config.host_key")


def _read_all(files: Iterable[Path], resource: str) -> SSHKnownHosts:
    known = SSHKnownHosts()
    for file in files:
        try:
            text = file.read_text(encoding="utf-8", errors="replace")
        except OSError as error:
            raise StepError(
                f"resource {resource!r}: the known_hosts file {file} cannot be read: {error.strerror}",
                hint="correct config.known_hosts or the rights of the file",
                code="AF335",
            ) from error
        # Line by line: ssh passes over lines that it does not understand, too.
        for line in filter(_may_be_entry, text.splitlines()):
            _load(known, line)
    return known


def _may_be_entry(line: str) -> bool:
    return bool(line.strip()) and not line.lstrip().startswith("#")


def _load(known: SSHKnownHosts, line: str) -> bool:
    try:
        known.load(line)
    except ValueError:
        return False
    return True
