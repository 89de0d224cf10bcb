"""An entry for an env file: in `AETHERFLOW_ENV_FILES_JSON`, or under `env_files` of a manifest."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

import msgspec
from msgspec import Meta

Format = Literal["dotenv", "json", "dir", "directory", "dir-of-files"]


class EnvFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One entry of `AETHERFLOW_ENV_FILES_JSON` or of a bundle's `env_files`.

    `directory` and `dir-of-files` are older spellings of `dir`, and `format` is one of `type`.

    Attributes:
        path: relative to the working directory, in a bundle to its root, in a project file to that file.
        type: dotenv (NAME=VALUE lines, the default), json (an object), or dir (a file for each variable).
        optional: whether it may be absent.
        prefix: put before every name.
        format: an older spelling of type.
    """

    called: ClassVar[str] = "an env file"

    path: Annotated[str, Meta(min_length=1)]
    type: Format | None = None
    optional: bool = False
    prefix: str = ""
    format: Format | None = None

    @property
    def kind(self) -> Format:
        """The format of the file."""
        return self.type or self.format or "dotenv"
