"""The connector `archive:pyminizip`: zip archives with the old encryption, for receivers that know no AES."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import Annotated, Any, ClassVar, Self

import msgspec
from msgspec import Meta

from aetherflow import MissingExtra, Resource, StepError, connector
from aetherflow_archive.archive_connector import Packing, Unpacking
from aetherflow_archive.calls_of_plugins import PluginCalls
from aetherflow_archive.no_settings import NoSettings
from aetherflow_archive.watching import Watch


class PyminizipConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How files are compressed.

    Attributes:
        level: 1 (fast) to 9 (small).
    """

    level: Annotated[int, Meta(ge=1, le=9)] = 5


@connector("archive:pyminizip")
class PyminizipConnector(PluginCalls):
    """Packs with a password only, and unpacks nothing: its library can do no more."""

    driver: ClassVar[str] = "pyminizip"
    config_type: ClassVar[type[PyminizipConfig]] = PyminizipConfig
    options_type: ClassVar[type[NoSettings]] = NoSettings
    packages: ClassVar[tuple[str, ...]] = ("pyminizip",)

    def __init__(self, library: ModuleType | Any, config: PyminizipConfig) -> None:
        """Take the library and the level."""
        self._library: Any = library
        self._config = config

    @classmethod
    async def open(cls, resource: Resource) -> Self:
        """Import the library.

        Raises:
            ConfigError: a setting is unknown.
            MissingExtra: it is not installed.
        """
        config = resource.config_as(PyminizipConfig)
        resource.options_as(NoSettings)
        try:
            import pyminizip  # noqa: PLC0415 - has no wheels, so that few have it
        except ImportError:
            raise MissingExtra(
                "archive:pyminizip needs the package pyminizip, which is not installed",
                hint="pip install pyminizip (it is compiled), or use the driver pyzipper, whose AES is safer",
            ) from None
        return cls(pyminizip, config)

    def pack(self, target: Path, packing: Packing, watch: Watch) -> None:
        """Write an encrypted archive; the library cannot be stopped meanwhile."""
        if not packing.password:
            raise StepError(
                "archive:pyminizip packs with a password only",
                hint="set the input password, or use the driver zipfile",
                code="AF393",
            )
        watch.raise_if_stopping()
        names = [member.name.rpartition("/")[0] for member in packing.members]
        self._library.compress_multiple(
            [str(member.path) for member in packing.members],
            names,
            str(target),
            packing.password,
            self._config.level,
        )

    def unpack(self, archive: Path, folder: Path, unpacking: Unpacking, watch: Watch) -> list[str]:
        """Unpack nothing.

        Raises:
            StepError: always (AF393).
        """
        del folder, unpacking, watch
        raise StepError(
            f"archive:pyminizip cannot unpack {archive}",
            hint="use the driver zipfile or pyzipper, which read this encryption",
            code="AF393",
        )

    def holds(self, archive: Path, packing: Packing, watch: Watch) -> bool:
        """Not known, as nothing can be unpacked.

        Raises:
            StepError: always.
        """
        self.unpack(archive, archive.parent, Unpacking(), watch)
        return not packing
