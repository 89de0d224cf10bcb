"""Read env files: variables from a dotenv file, a JSON object or a directory with one file per variable."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from aetherflow.errors import ConfigError, InvalidInput
from aetherflow.spec.decode import decode
from aetherflow.spec.document import parse_document
from aetherflow.spec.env_file import EnvFile
from aetherflow.spec.read_file import read_file
from aetherflow.working_directory import absolute
from aetherflow.written_path import UnclearPath, written_path

ENV_FILES_VARIABLE = "AETHERFLOW_ENV_FILES_JSON"
LONGEST_BYTES = 1 << 20
"""The largest env file in bytes; a larger environment could not be passed to any process."""


def parse_env_files(text: str) -> list[EnvFile]:
    """Return the entries of `AETHERFLOW_ENV_FILES_JSON`.

    Raises:
        InvalidInput: the text is not a list of entries; every diagnostic with its place in the variable.
    """
    document = parse_document(text, ENV_FILES_VARIABLE)
    entries, diagnostics = decode(document, list[EnvFile])
    if entries is None:
        raise InvalidInput(diagnostics)
    return entries


def read_env_file(
    entry: EnvFile,
    directory: Path,
    environment: Mapping[str, str] | None = None,
    winning: Mapping[str, str] | None = None,
) -> dict[str, str]:
    """Return the variables of one entry, prefix applied; none if it is optional and does not exist.

    Args:
        entry: what to read.
        directory: where a relative path starts.
        environment: the variables that `${NAME}` in a dotenv file may name.
        winning: those that win over the variables of the file.

    Raises:
        ConfigError: the file is missing, unreadable or malformed; names the file, never a value.
    """
    try:
        path = written_path(entry.path, absolute(directory))
    except UnclearPath as error:
        raise ConfigError(f"an env file: {error.message}", hint=error.hint, code="AF503") from None
    try:
        if entry.optional and not path.exists():
            return {}
        variables = _read(entry.kind, path, environment or {}, winning or {})
    except OSError as error:
        reason = (error.strerror or type(error).__name__).lower()
        hint = "" if entry.optional else "correct the path, or write `optional: true` if it may be absent"
        if not Path(entry.path).is_absolute():
            hint = f"{entry.path} starts at {absolute(directory)}; {hint}".removesuffix("; ")
        raise ConfigError(f"{path}: cannot read this env file: {reason}", hint=hint, code="AF503") from None
    return {entry.prefix + key: value for key, value in variables.items()}


def _read(
    kind: str, path: Path, environment: Mapping[str, str], winning: Mapping[str, str]
) -> dict[str, str]:
    if kind == "dotenv":
        from aetherflow.config.dotenv import parse_dotenv  # noqa: PLC0415 - few runs have such a file

        return parse_dotenv(_text(path), str(path), environment, winning)
    if kind == "json":
        return _parse_json(_text(path), str(path))
    return _read_directory(path)


def _text(path: Path) -> str:
    content = read_file(path, LONGEST_BYTES)
    if len(content) > LONGEST_BYTES:
        message = f"{path}: this env file is larger than {LONGEST_BYTES // 2**20} MiB"
        raise ConfigError(message, hint="name a file of variables", code="AF503")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        message = f"{path}: this env file is not UTF-8 text (byte {error.start})"
        raise ConfigError(message, hint="save it as UTF-8", code="AF503") from None


def _parse_json(text: str, file: str) -> dict[str, str]:
    try:
        values = json.loads(text)
        written = json.loads(text, parse_int=str, parse_float=str)
    except json.JSONDecodeError as error:
        place = f"{file}:{error.lineno}:{error.colno}"
        raise ConfigError(f"{place}: this is not JSON: {error.msg.lower()}", code="AF503") from None
    except ValueError:
        raise ConfigError(
            f"{file}: a number of this JSON is too long", hint="quote it", code="AF503"
        ) from None
    except RecursionError:
        raise ConfigError(f"{file}: this JSON is nested too deeply", code="AF503") from None
    if not isinstance(values, dict):
        hint = 'write an object: {"NAME": "value"}'
        raise ConfigError(f"{file}: the JSON of an env file must be an object", hint=hint, code="AF503")
    numbers = {key: written[key] for key, value in values.items() if type(value) in (int, float)}
    return {key: value_text(value) for key, value in values.items() if value is not None} | numbers


def value_text(value: Any) -> str:
    """Return a JSON value as the text of a variable: text as it is, anything else as JSON."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _read_directory(path: Path) -> dict[str, str]:
    """Return one variable per visible file, as mounted Kubernetes secrets have them (`..data` is hidden)."""
    files = sorted(item for item in path.iterdir() if not item.name.startswith(".") and item.is_file())
    return {file.name: _without_last_newline(_text(file)) for file in files}


def _without_last_newline(text: str) -> str:
    return text.removesuffix("\r\n") if text.endswith("\r\n") else text.removesuffix("\n")
