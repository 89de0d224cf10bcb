"""Choose the archive connector of a step: the resource that it names, else the default for the format."""

from __future__ import annotations

import shutil

from aetherflow import MissingExtra, Resource, StepContext, StepError
from aetherflow_archive.archive_connector import ArchiveConnector
from aetherflow_archive.formats import Format
from aetherflow_archive.os_connector import OsConfig, OsConnector
from aetherflow_archive.tar_connector import TarConnector
from aetherflow_archive.zip_connectors import PyzipperConnector, ZipfileConnector

DEFAULT_RESOURCE = "archive_default"
"""The resource that `zip` and `unzip` use if they name none and the flow declares it."""


async def chosen_connector(
    ctx: StepContext, resource: str | None, password: str | None, kind: Format
) -> ArchiveConnector:
    """Return the connector that a step uses for a format.

    `archive_default` counts only for the formats that it has: one of kind zip does not stand in the way of a
    tar archive.

    Raises:
        StepError: the resource cannot be opened, is no archive, or does not have the format; or enterprise
            mode does not allow its driver, or there is no resource.
        MissingExtra: a password is given, and nothing is installed that encrypts.
    """
    name = resource or (DEFAULT_RESOURCE if ctx.has_resource(DEFAULT_RESOURCE) else "")
    if name:
        found = await ctx.connector(name)
        if not isinstance(found, ArchiveConnector):
            raise StepError(
                f"resource {name!r} is no archive", hint="name a resource of kind archive", code="AF390"
            )
        if kind in found.formats:
            ctx.check_zip_driver(found.driver)
            return found
        if resource:
            raise StepError(
                f"archive:{found.driver} cannot pack or unpack the format {kind}",
                hint=f"it has {', '.join(sorted(found.formats))}; leave out resource, or name another one",
                code="AF390",
            )
    chosen = _default(kind, has_password=bool(password))
    ctx.check_zip_driver(chosen.driver, is_declared=False)
    return await chosen.open(Resource("archive", "archive", chosen.driver))


def _default(kind: Format, *, has_password: bool) -> type[ArchiveConnector]:
    if kind != "zip":
        return TarConnector
    if not has_password:
        return ZipfileConnector
    try:
        import pyzipper  # noqa: F401, PLC0415 - an extra, imported by those who encrypt
    except ImportError:
        programs = OsConfig()
        if shutil.which(programs.zip_cmd) and shutil.which(programs.unzip_cmd):
            return OsConnector
        raise MissingExtra(
            "an archive with a password needs pyzipper, which is not installed",
            hint="pip install 'aetherflow[archive]', or install the programs zip and unzip",
        ) from None
    return PyzipperConnector
