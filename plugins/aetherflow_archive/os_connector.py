"""The connector `archive:os`: the programs zip and unzip of Info-ZIP, as Linux distributions have them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, ClassVar, Self

import msgspec
from msgspec import Meta

from aetherflow import Resource, StepError, connector
from aetherflow_archive.archive_connector import Packing, Unpacking
from aetherflow_archive.no_settings import NoSettings
from aetherflow_archive.program_connector import Call, ExitReason, ProgramConnector

_WRONG_PASSWORD = ExitReason(
    "the password is missing or wrong", "set the input password, best by a secret", "AF393"
)
_NOT_WRITTEN = ExitReason(
    "it cannot write a file", "make room on the disk, or correct the permissions", "AF397"
)
_UNKNOWN_METHOD = ExitReason(
    "a member has a compression or encryption, such as AES, that it does not know",
    "use the driver pyzipper",
    "AF391",
)
_OF_ZIP = {14: _NOT_WRITTEN}
_OF_UNZIP = {5: _WRONG_PASSWORD, 82: _WRONG_PASSWORD, 50: _NOT_WRITTEN, 81: _UNKNOWN_METHOD}
"""By exit codes; 5 (`out of memory`) comes when there is no terminal to ask for a password."""
_PATTERN = re.compile(r"([*?[])")


class OsConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The programs.

    Attributes:
        zip_cmd: the program that packs.
        unzip_cmd: the program that unpacks.
        quiet: whether they print nothing but errors.
    """

    zip_cmd: Annotated[str, Meta(min_length=1)] = "zip"
    unzip_cmd: Annotated[str, Meta(min_length=1)] = "unzip"
    quiet: bool = True


@connector("archive:os")
class OsConnector(ProgramConnector):
    """Zip archives by installed programs; with a password, by the old encryption (ZipCrypto)."""

    driver: ClassVar[str] = "os"
    config_type: ClassVar[type[OsConfig]] = OsConfig
    options_type: ClassVar[type[NoSettings]] = NoSettings

    def __init__(self, config: OsConfig) -> None:
        """Take the programs."""
        self._config = config

    @classmethod
    async def open(cls, resource: Resource) -> Self:
        """Read the settings.

        Raises:
            ConfigError: a setting is unknown.
        """
        resource.options_as(NoSettings)
        return cls(resource.config_as(OsConfig))

    @property
    def programs(self) -> Sequence[str]:
        """The two programs."""
        return (self._config.zip_cmd, self._config.unzip_cmd)

    def packing_call(self, target: Path, packing: Packing) -> Call:
        """Return the call of zip, which reads the names from its standard input.

        Raises:
            StepError: a name has a line break (AF395).
        """
        names = [member.name for member in packing.members]
        if any("\n" in name for name in names):
            raise StepError(
                "archive:os cannot pack a file with a line break in its name",
                hint="use the driver zipfile",
                code="AF395",
            )
        argv = [
            self._config.zip_cmd,
            "-X",
            "-D",
            "-0" if packing.compression == "stored" else "-6",
        ]
        argv += ["-q"] * self._config.quiet
        argv += ["-P", packing.password] if packing.password else []
        argv += ["-@", str(target)]
        stdin = "".join(f"{name}\n" for name in names).encode()
        return Call(argv, packing.base, stdin, reasons=_OF_ZIP)

    def unpacking_call(
        self, archive: Path, folder: Path, unpacking: Unpacking, names: Sequence[str] | None
    ) -> Call:
        """Return the call of unzip; exit code 1 is a warning."""
        argv = [self._config.unzip_cmd, "-o"]
        argv += ["-q"] * self._config.quiet
        argv += ["-O", unpacking.name_encoding] if unpacking.name_encoding else []
        argv += ["-P", unpacking.password] if unpacking.password else []
        argv += [str(archive), *(_PATTERN.sub(r"[\1]", name) for name in names or ()), "-d", str(folder)]
        return Call(argv, folder, None, frozenset((0, 1)), _OF_UNZIP)
