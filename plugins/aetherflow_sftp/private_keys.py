"""Load the private keys that a resource names; what cannot be used gets a sentence of its own."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import asyncssh

from aetherflow import StepError
from aetherflow_sftp.settings import Login


def login_options(login: Login, resource: str) -> dict[str, Any]:
    """Return the options of asyncssh that say how to log in; blocking: it reads files, and decrypts keys.

    Raises:
        StepError: a key cannot be read, or its passphrase is missing or wrong (AF334).
    """
    options: dict[str, Any] = {"password": login.password, "agent_path": _agent(login, resource)}
    if login.has_key or login.password is not None:
        options["client_keys"] = _keys(login, resource) or None
    else:
        options["client_keys"] = ()  # the key files in ~/.ssh
        options["passphrase"] = login.passphrase
    if options["client_keys"] is None and options["agent_path"]:
        options["client_keys"] = []
    return options


def _agent(login: Login, resource: str) -> str | None:
    if login.agent is False:
        return None
    path = login.agent if isinstance(login.agent, str) else os.environ.get("SSH_AUTH_SOCK")
    if not login.agent:
        is_default = login.pkey is None and login.pkey_path is None and login.password is None
        return path if is_default else None
    if not path:
        raise StepError(
            f"resource {resource!r}: config.agent is true, but SSH_AUTH_SOCK names no agent",
            hint="start ssh-agent and add the key with ssh-add, or name its socket: agent: /path/to/socket",
            code="AF334",
        )
    if not Path(path).expanduser().exists():
        raise StepError(
            f"resource {resource!r}: there is no agent at {path}",
            hint="start ssh-agent and add the key with ssh-add, or correct config.agent or SSH_AUTH_SOCK",
            code="AF334",
        )
    return path


def _keys(login: Login, resource: str) -> list[Any]:
    keys: list[Any] = []
    if login.pkey is not None:
        keys.append(_load(login.pkey.encode(), login, f"resource {resource!r}: config.pkey"))
    if login.pkey_path is not None:
        what = f"resource {resource!r}: the private key {login.pkey_path}"
        certificate = Path(f"{login.pkey_path}-cert.pub")
        key = _load(_read(Path(login.pkey_path), what), login, what)
        keys.append((key, str(certificate)) if certificate.is_file() else key)
    return keys


def _read(path: Path, what: str) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise StepError(
            f"{what} cannot be read: {error.strerror}",
            hint="check config.pkey_path, and that this user may read the file",
            code="AF334",
        ) from error


def _load(content: bytes, login: Login, what: str) -> asyncssh.SSHKey:
    text = content.strip() + b"\n"  # YAML and variables lose the last end of line
    try:
        return asyncssh.import_private_key(text, login.passphrase)
    except asyncssh.KeyEncryptionError as error:
        raise StepError(
            f"{what} cannot be decrypted with config.passphrase",
            hint="correct the passphrase",
            code="AF334",
        ) from error
    except asyncssh.KeyImportError as error:
        raise _unusable(what, text, login, error) from error


def _unusable(what: str, text: bytes, login: Login, error: Exception) -> StepError:
    if login.passphrase is None and _is_encrypted(text):
        return StepError(
            f"{what} is protected by a passphrase, and config.passphrase is not set",
            hint="set config.passphrase, from a secret",
            code="AF334",
        )
    try:
        asyncssh.import_public_key(text)
    except asyncssh.KeyImportError:
        message = f"{what} is no private key that can be used: {error}"
        hint = "give a private key in OpenSSH's or PEM format; ssh-keygen -p -f FILE rewrites one"
    else:
        message, hint = f"{what} is a public key", "name the private key: the file without .pub"
    return StepError(message, hint=hint, code="AF334")


def _is_encrypted(text: bytes) -> bool:
    """Return whether a key would load, if its passphrase were right: any passphrase fails as a wrong one."""
    try:
        asyncssh.import_private_key(text, "-")
    except asyncssh.KeyEncryptionError:
        return True
    except asyncssh.KeyImportError:
        return False
    return False
