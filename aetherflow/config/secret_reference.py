"""Parse `{secret: "PROVIDER:NAME"}`, a reference to a secret in a resource or profile."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal, get_args

import msgspec

from aetherflow.config.resource_fields import SECRET_KEY as KEY
from aetherflow.config.resource_fields import FieldDiagnostic, FieldPath, field_name, is_reference
from aetherflow.config.resource_scope import resource_scope
from aetherflow.language.template import compile_template
from aetherflow.spec.suggest import did_you_mean
from aetherflow.written_path import UnclearPath, written_path

Provider = Literal["env", "file", "command", "keyring"]
PROVIDERS: tuple[Provider, ...] = get_args(Provider)

_EXAMPLES: Mapping[Provider, str] = {
    "env": "env:DB_PASSWORD",
    "file": "file:/run/secrets/db",
    "command": "command:pass show db",
    "keyring": "keyring:service/user",
}
_CODE = "AF570"
_COMMAND = "command:"


class SecretReference(msgspec.Struct, frozen=True):
    """A reference to a secret.

    Attributes:
        provider: who has it.
        name: what the provider calls it: a variable, a path, a command line, `service/user`.
    """

    provider: Provider
    name: str


def parse_reference(text: str) -> SecretReference:
    """Return what a rendered reference names.

    Raises:
        ValueError: its form is wrong; the message never repeats the text.
    """
    provider, colon, name = text.partition(":")
    known = next((one for one in PROVIDERS if one == provider), None)
    if not colon or known is None:
        raise ValueError(f"it begins with one of {', '.join(f'{one}:' for one in PROVIDERS)}")
    if not name.strip():
        raise ValueError(f"nothing follows {known}:")
    _SHAPES[known](name)
    return SecretReference(known, name)


def rendered_reference(written: str, env: Mapping[str, str], folder: Path | None = None) -> SecretReference:
    """Return what a reference names once its templates are rendered; a file by its absolute path.

    A relative path starts at `folder`, the folder of the file that has the reference; None: at the working
    directory.

    A command is split into words before rendering: a value of the environment stays one word, whatever it
    contains.

    Raises:
        MissingValue: a template refers to a variable without a value, and has no default.
        ValueError: the result has a wrong form; the message never repeats the text.
    """
    scope = resource_scope(env)
    if not written.startswith(_COMMAND):
        return _placed(parse_reference(str(compile_template(written)[0].render(scope))), env, folder)
    words = shlex.split(written.removeprefix(_COMMAND))
    return SecretReference("command", shlex.join(str(compile_template(w)[0].render(scope)) for w in words))


def _placed(reference: SecretReference, env: Mapping[str, str], folder: Path | None) -> SecretReference:
    if reference.provider != "file":
        return reference
    path = written_path(reference.name, folder, home=env.get("HOME", ""))
    return SecretReference("file", str(path))


def reference_problem(where: FieldPath, value: Mapping[str, Any]) -> FieldDiagnostic | None:
    """Return the problem of a reference before its templates are rendered."""
    text = value[KEY]
    named = field_name(where)
    if not isinstance(text, str):
        return FieldDiagnostic(where, _CODE, f"{named}: `secret` is not a text", _hint())
    provider, _, name = text.partition(":")
    if "{{" in provider:
        return None  # who has the secret is known only when the resource is opened
    try:
        if provider in PROVIDERS and "{{" in name and provider != "command":
            return None
        parse_reference(text)
        if provider == "command" and any(compile_template(word)[1] for word in shlex.split(name)):
            raise ValueError("a template in a command has spaces: put the word into quotes")  # noqa: TRY301 - reported like the others
    except ValueError as error:
        meant = did_you_mean(provider, PROVIDERS) if ":" in text else ""
        return FieldDiagnostic(where, _CODE, f"{named}: this names no secret: {error}", meant or _hint())
    return None


def beside_others(where: FieldPath, value: object) -> FieldDiagnostic | None:
    """Return the error for a reference that has keys beside it: it would be taken for the secret itself."""
    if not isinstance(value, Mapping) or KEY not in value or is_reference(value):
        return None
    text = value[KEY]
    if not isinstance(text, str) or text.partition(":")[0] not in PROVIDERS or ":" not in text:
        return None
    message = f"{field_name((*where, KEY))} names a secret, but has other keys beside it"
    return FieldDiagnostic((*where, KEY), _CODE, message, "a mapping {secret: ...} has no other key")


def _hint() -> str:
    return "write " + ", ".join(f'{{secret: "{example}"}}' for example in _EXAMPLES.values())


def _check_variable(name: str) -> None:
    if "=" in name or any(map(str.isspace, name)):
        raise ValueError("env: is followed by the name of a variable")


def _check_file(name: str) -> None:
    try:
        written_path(name, Path("/"))
    except UnclearPath:
        raise ValueError("its path has a $NAME, or the ~ of a user that does not exist") from None


def _check_command(name: str) -> None:
    try:
        shlex.split(name)
    except ValueError:
        raise ValueError("a quote in the command is not closed") from None


def _check_entry(name: str) -> None:
    service, slash, user = name.rpartition("/")
    if not (service and slash and user):
        raise ValueError("keyring: is followed by service/user")


_SHAPES: Mapping[Provider, Callable[[str], None]] = {
    "env": _check_variable,
    "file": _check_file,
    "command": _check_command,
    "keyring": _check_entry,
}
