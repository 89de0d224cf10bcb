"""Choose the archive connector of a step: the resource that it names, else the default."""

from __future__ import annotations

from aetherflow import Resource, StepContext, StepError
from aetherflow_archive.archive_connector import ArchiveConnector
from aetherflow_archive.zip_connectors import PyzipperConnector, ZipfileConnector

DEFAULT_RESOURCE = "archive_default"
"""The resource that `zip` and `unzip` use if they name none and the flow declares it."""


async def chosen_connector(ctx: StepContext, resource: str | None, password: str | None) -> ArchiveConnector:
    """Return the connector that a step uses.

    Raises:
        StepError: the resource cannot be opened or is no archive, or enterprise mode does not allow its
            driver.
        MissingExtra: a password is given, and pyzipper is not installed.
    """
    name = resource or (DEFAULT_RESOURCE if ctx.has_resource(DEFAULT_RESOURCE) else "")
    if not name:
        chosen = PyzipperConnector if password else ZipfileConnector
        ctx.check_zip_driver(chosen.driver)
        return await chosen.open(Resource("archive", "archive", chosen.driver))
    found = await ctx.connector(name)
    if not isinstance(found, ArchiveConnector):
        raise StepError(
            f"resource {name!r} is no archive", hint="name a resource of kind archive", code="AF390"
        )
    ctx.check_zip_driver(found.driver)
    return found
