"""Read a file of AetherFlow 0.0, and write what does the same here: beside it, or in its place."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path

import msgspec

from aetherflow.config.environment import load_environment
from aetherflow.config.project import project_of
from aetherflow.errors import AetherFlowError, Diagnostic, InvalidInput, UsageError
from aetherflow.migration.migrate_file import Migration, migrate_text
from aetherflow.migration.surroundings import Surroundings
from aetherflow.redaction import Redactor
from aetherflow.registry import registry_of
from aetherflow.runs.load_flow import load_checked_flow
from aetherflow.server.schedule_files import check_schedule_file
from aetherflow.spec.excerpt import with_excerpts
from aetherflow.spec.load_manifest import load_manifest
from aetherflow.spec.read_file import read_file
from aetherflow.working_directory import absolute

MAX_BYTES = 16 * 1024 * 1024


class WrittenFile(msgspec.Struct, frozen=True):
    """What was written.

    Attributes:
        path: the new file.
        original: where the old one is now, if the new one took its place.
        diagnostics: what `validate` finds in the new file; the flows of a scheduler file are not looked at.
    """

    path: Path
    original: Path | None
    diagnostics: list[Diagnostic]


def migrate(path: Path, folder: Path, process_env: Mapping[str, str]) -> Migration:
    """Migrate a file; the working directory is taken for the one where 0.0 was started.

    Args:
        path: the old file.
        folder: where the new one will be.
        process_env: the environment, which names the plugins.

    Raises:
        InvalidInput: the file cannot be read, or is none of 0.0.
        ConfigError: a setting cannot be used.
    """
    environment = load_environment(process_env, project=project_of(path).project)
    registry = registry_of(environment.settings, own=environment.steps_folders)
    around = Surroundings(str(absolute(folder)), str(absolute(Path())), registry.step_names(), _text_or_none)
    return migrate_text(_read(path), str(path), around)


def diagnostics_of(migration: Migration, path: Path) -> list[Diagnostic]:
    """Return the differences with the lines of the file, for people."""
    found = [difference.diagnostic(str(path)) for difference in migration.differences]
    return with_excerpts(found, str(path), migration.old_text.encode(), Redactor().text)


def write_beside(migration: Migration, target: Path, process_env: Mapping[str, str]) -> WrittenFile:
    """Write the new text to a file that does not exist.

    Raises:
        UsageError: it exists, or cannot be written.
    """
    if target.is_symlink() or target.exists():
        raise UsageError(f"{target} is there already", hint="name another file, or move it away")
    try:
        _write_new(target, migration.text.encode())
    except OSError as error:
        raise _unwritable(target, error) from None
    return WrittenFile(target, None, _diagnostics(migration, target, process_env))


def write_in_place(migration: Migration, path: Path, process_env: Mapping[str, str]) -> WrittenFile:
    """Write the new text in place of the old file, which is kept as FILE.orig.

    Raises:
        UsageError: FILE.orig exists, or a file cannot be written.
    """
    real = Path(os.path.realpath(path))
    original = real.with_name(f"{real.name}.orig")
    if original.is_symlink() or original.exists():
        raise UsageError(f"{original} is there already", hint="it is the file as it was: move it away")
    _replace(real, migration.text, original)
    return WrittenFile(path, original, _diagnostics(migration, path, process_env))


def _replace(target: Path, text: str, original: Path) -> None:
    """Copy a file and write another in its place: a reader sees the old or the new one, never a part."""
    temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        _write_new(temporary, text.encode())
        shutil.copymode(target, temporary)
        _write_new(original, target.read_bytes())
        shutil.copystat(target, original)
        temporary.replace(target)
    except OSError as error:
        raise _unwritable(target, error) from None
    finally:
        temporary.unlink(missing_ok=True)


def _write_new(path: Path, content: bytes) -> None:
    """Write a file that does not exist; if it cannot be written whole, there is none."""
    with path.open("xb") as file:
        try:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        except OSError:
            path.unlink()
            raise


def _unwritable(path: Path, error: OSError) -> UsageError:
    return UsageError(f"cannot write {path}: {error.strerror or error}")


def _diagnostics(migration: Migration, path: Path, process_env: Mapping[str, str]) -> list[Diagnostic]:
    """Return what is wrong with a written file."""
    try:
        match migration.kind:
            case "flow":
                return load_checked_flow(path, process_env).diagnostics
            case "scheduler":
                return check_schedule_file(path).diagnostics
            case "manifest":
                load_manifest(path)
    except InvalidInput as error:
        return list(error.diagnostics)
    except AetherFlowError as error:
        return [Diagnostic(error.code, error.message, str(path), hint=error.hint)]
    return []


def _read(path: Path) -> str:
    try:
        return read_file(path, MAX_BYTES).decode()
    except (OSError, ValueError) as error:
        reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
        message = f"this file cannot be read: {reason}"
        raise InvalidInput([Diagnostic("AF101", message, str(path), hint="check the path")]) from None


def _text_or_none(path: str) -> str | None:
    try:
        return read_file(Path(path), MAX_BYTES).decode()
    except (OSError, ValueError):
        return None
