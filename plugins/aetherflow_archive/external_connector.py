"""The connector `archive:external`: any program, by the commands that the resource gives."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, ClassVar, Self

import msgspec
from msgspec import Meta

from aetherflow import Resource, StepError, connector
from aetherflow_archive.archive_connector import Packing, Unpacking
from aetherflow_archive.formats import Format
from aetherflow_archive.no_settings import NoSettings
from aetherflow_archive.program_connector import Call, ProgramConnector

Words = Annotated[list[str], Meta(min_length=1)]
_FILES = "{files}"


class ExternalConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The two commands, word by word; no shell reads them.

    Attributes:
        zip_cmd: the program that packs, and its arguments; it runs in the folder of the files.
        unzip_cmd: the program that unpacks, and its arguments.
    """

    zip_cmd: Words
    unzip_cmd: Words


@connector("archive:external")
class ExternalConnector(ProgramConnector):
    """Archives of any format, by two commands with `{archive}`, `{dest}`, `{password}` and `{base_dir}`."""

    driver: ClassVar[str] = "external"
    formats: ClassVar[frozenset[Format]] = frozenset(("zip", "tar", "tar.gz", "tar.zst", "gz", "zst"))
    config_type: ClassVar[type[ExternalConfig]] = ExternalConfig
    options_type: ClassVar[type[NoSettings]] = NoSettings

    def __init__(self, config: ExternalConfig) -> None:
        """Take the commands."""
        self._config = config

    @classmethod
    async def open(cls, resource: Resource) -> Self:
        """Read the settings.

        Raises:
            ConfigError: a command is missing, or a setting is unknown.
        """
        resource.options_as(NoSettings)
        return cls(resource.config_as(ExternalConfig))

    @property
    def programs(self) -> Sequence[str]:
        """The first word of both commands."""
        return (self._config.zip_cmd[0], self._config.unzip_cmd[0])

    def packing_call(self, target: Path, packing: Packing) -> Call:
        """Return the command that packs.

        Raises:
            StepError: there is a password, and the command has no place for it (AF393).
        """
        _check_password(self._config.zip_cmd, packing.password, "zip_cmd")
        values = {
            "archive": str(target),
            "dest": str(target),
            "password": packing.password or "",
            "base_dir": str(packing.base),
        }
        return Call(
            _filled(self._config.zip_cmd, values, [member.name for member in packing.members]), packing.base
        )

    def unpacking_call(
        self, archive: Path, folder: Path, unpacking: Unpacking, names: Sequence[str] | None
    ) -> Call:
        """Return the command that unpacks.

        Raises:
            StepError: members are chosen, which it cannot do (AF986), or there is no place for the password.
        """
        if unpacking.members is not None and (names is None or _FILES not in self._config.unzip_cmd):
            raise StepError(
                "archive:external cannot unpack chosen members",
                hint=f"leave out members, or for zip archives add {_FILES} to unzip_cmd",
                code="AF986",
            )
        _check_password(self._config.unzip_cmd, unpacking.password, "unzip_cmd")
        values = {
            "archive": str(archive),
            "dest": str(folder),
            "password": unpacking.password or "",
            "base_dir": str(folder),
        }
        return Call(_filled(self._config.unzip_cmd, values, names or ()), folder)


def _filled(words: Sequence[str], values: Mapping[str, str], files: Sequence[str]) -> list[str]:
    """Return the words with their values; what a value holds is not filled again."""
    filled: list[str] = []
    for word in words:
        if word == _FILES:
            filled += files
            continue
        parts, rest = "", word
        while rest:
            before, brace, after = rest.partition("{")
            name, end, behind = after.partition("}")
            is_place = bool(brace and end) and name in values
            parts += before + (values[name] if is_place else brace)
            rest = behind if is_place else after
        filled.append(parts)
    return filled


def _check_password(words: Sequence[str], password: str | None, key: str) -> None:
    if password and not any("{password}" in word for word in words):
        raise StepError(
            f"there is a password, and {key} has no {{password}}: the archive would not be encrypted by it",
            hint=f"add {{password}} to {key}, or leave out the password",
            code="AF393",
        )
