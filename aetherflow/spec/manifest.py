"""The manifest of a bundle as typed, frozen Structs: the keys a user may write (README, «Bundles»)."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

import msgspec
from msgspec import Meta

from aetherflow.spec.env_file import EnvFile
from aetherflow.spec.flow import Identifier, ResourceSpec

SourceType = Literal["filesystem", "sftp", "smb", "db", "rest"]
FetchPolicy = Literal["cache_check", "always"]
Mode = Literal["internal_fast", "enterprise"]
Text = Annotated[str, Meta(min_length=1)]

SOURCE_KEYS: dict[SourceType, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "filesystem": (("base_path",), ()),
    "sftp": (("resource", "base_path"), ()),
    "smb": (("resource", "base_path"), ()),
    "db": (("resource", "list_sql", "fetch_sql"), ("base_path", "prefix_param")),
    "rest": (("resource", "list_path", "fetch_path"), ("base_path", "prefix_param")),
}
"""For each type of source the keys it needs and those it may have, beside `type` and `strict_fingerprint`."""


class _Spec(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A mapping of the file; `called` is how a message names it."""

    called: ClassVar[str] = "this mapping"


class SourceSpec(_Spec, frozen=True):
    """`bundle.source`: where the files come from; `SOURCE_KEYS` says which keys belong to which type."""

    called = "'source'"

    type: SourceType
    resource: Text | None = None
    base_path: Text | None = None
    list_sql: Text | None = None
    fetch_sql: Text | None = None
    list_path: Text | None = None
    fetch_path: Text | None = None
    prefix_param: Text | None = None
    strict_fingerprint: bool = False


class LayoutSpec(_Spec, frozen=True):
    """`bundle.layout`: what lies where in the bundle, relative to its root."""

    called = "'layout'"

    flows_dir: Text = "flows"
    profiles_file: Text | None = None
    plugins_dir: Text | None = None


class BundleSpec(_Spec, frozen=True):
    """`bundle`: its name, its source, and what is in it."""

    called = "'bundle'"

    id: Identifier
    source: SourceSpec
    layout: LayoutSpec = LayoutSpec()
    entry_flow: Text | None = None
    fetch_policy: FetchPolicy = "cache_check"


class PathsSpec(_Spec, frozen=True):
    """`paths`: places on this machine, relative to the manifest, that enterprise mode lets be used.

    Attributes:
        plugins: folders with plugin files.
        allow: folders and files that steps may name by an absolute path.
    """

    called = "'paths'"

    plugins: Text | list[Text] = []
    allow: Text | list[Text] = []


class ManifestFile(_Spec, frozen=True):
    """The whole file."""

    called = "the manifest"

    version: Literal[1]
    bundle: BundleSpec
    mode: Mode = "internal_fast"
    resources: dict[str, ResourceSpec] = {}
    paths: PathsSpec = PathsSpec()
    zip_drivers: list[Text] = []
    env_files: list[EnvFile] = []
