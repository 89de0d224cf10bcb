"""Check whether a secret exists where its reference points, without showing it, for `doctor`."""

from __future__ import annotations

import os
import shlex
import shutil
import threading
from collections.abc import Mapping
from typing import Literal

import msgspec

from aetherflow.config.secret_reference import SecretReference
from aetherflow.config.value_providers import Surroundings, fetch_secret, others_may_read, secret_file
from aetherflow.errors import AetherFlowError

KEYRING_SECONDS = 10.0
"""How long to wait for a keyring; a locked one may show a dialog that is never answered."""


class Presence(msgspec.Struct, frozen=True):
    """What was found out about a secret."""

    state: Literal["ok", "warning", "error"]
    message: str
    hint: str = ""


def secret_presence(reference: SecretReference, env: Mapping[str, str]) -> Presence:
    """Return whether a secret exists; a program is looked up but not run. Blocking."""
    match reference.provider:
        case "env":
            if env.get(reference.name):
                return Presence("ok", f"the variable {reference.name} is set")
            return Presence("error", f"the variable {reference.name} is not set", "set it before the run")
        case "file":
            return _file(reference.name, env)
        case "command":
            program = shlex.split(reference.name)[0]
            if found := shutil.which(program, path=env.get("PATH", os.defpath)):
                return Presence("ok", f"the program {found} is there")
            hint = "install it, or correct the command and the PATH"
            return Presence("error", f"there is no program {program}", hint)
        case "keyring":
            return _entry(reference, env)


def _file(name: str, env: Mapping[str, str]) -> Presence:
    path = secret_file(name, env)
    try:
        if not path.is_file():
            message = f"{path} is no file" if path.exists() else f"there is no file {path}"
            return Presence("error", message, "put the secret there, or correct the path")
        with path.open("rb") as file:
            if not file.read(1):
                return Presence("error", f"the file {path} is empty", "put the secret there")
        if others_may_read(path):
            message = f"the file {path} can be read by every user of this machine"
            return Presence("warning", message, f"chmod o-r {shlex.quote(str(path))}")
    except OSError as error:
        reason = (error.strerror or type(error).__name__).lower()
        return Presence("error", f"the file {path} cannot be read: {reason}", "let this user read it")
    return Presence("ok", f"the file {path} is there")


def _entry(reference: SecretReference, env: Mapping[str, str]) -> Presence:
    found: list[Presence] = []

    def look() -> None:
        try:
            fetch_secret(reference, Surroundings(env))
        except AetherFlowError as error:
            found.append(Presence("error", error.message, error.hint))
        else:
            found.append(Presence("ok", f"the keyring has an entry {reference.name}"))

    looking = threading.Thread(target=look, daemon=True)
    looking.start()
    looking.join(KEYRING_SECONDS)
    if found:
        return found[0]
    return Presence("error", f"the keyring did not answer within {KEYRING_SECONDS:g} s", "unlock it")
