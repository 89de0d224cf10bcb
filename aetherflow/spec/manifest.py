"""The manifest of a bundle as typed, frozen Structs: the keys a user may write (manual, bundles)."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

import msgspec
from msgspec import Meta

from aetherflow.spec.env_file import EnvFile
from aetherflow.spec.flow import Identifier, ResourceSpec

FetchPolicy = Literal["cache_check", "always"]
Mode = Literal["internal_fast", "enterprise"]
Text = Annotated[str, Meta(min_length=1)]

SOURCE_KEYS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "filesystem": (("base_path",), ()),
    "sftp": (("resource", "base_path"), ()),
    "smb": (("resource", "base_path"), ()),
    "db": (("resource",), ("bundle", "base_path", "list_sql", "fetch_sql", "prefix_param")),
    "rest": (("resource",), ("bundle", "base_path", "list_path", "fetch_path", "prefix_param")),
}
"""For each type that ships the keys it needs and may have, beside `type` and `strict_fingerprint`."""


class _Spec(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A mapping of the file; `called` is how a message names it."""

    called: ClassVar[str] = "this mapping"


class SourceSpec(_Spec, frozen=True):
    """`bundle.source`: where the files come from; `SOURCE_KEYS` says which keys belong to which type.

    Attributes:
        type: how the files are reached: filesystem, sftp, smb, db, rest, or a type of a plugin.
        resource: whose connector reaches them; under `resources` of the manifest.
        base_path: the folder of the files; of a filesystem, a relative one starts at the manifest.
        bundle: its name in the database or on the web server; by default its id.
        list_sql: a query for the files, by `:bundle`; default: the rows of the table `assets`.
        fetch_sql: a query for the content of one, by `:bundle` and `:path`; default: the column `data` there.
        list_path: the URL path that lists the files; default: `/list`.
        fetch_path: the URL path of one; default: `/fetch`.
        prefix_param: the parameter of the query or request that base_path is given in; default: `prefix`.
        strict_fingerprint: whether nothing but the content says that a file is unchanged.
    """

    called = "'source'"

    type: Text
    resource: Text | None = None
    base_path: Text | None = None
    bundle: Text | None = None
    list_sql: Text | None = None
    fetch_sql: Text | None = None
    list_path: Text | None = None
    fetch_path: Text | None = None
    prefix_param: Text | None = None
    strict_fingerprint: bool = False


class LayoutSpec(_Spec, frozen=True):
    """`bundle.layout`: what lies where in the bundle, relative to its root.

    Attributes:
        flows_dir: the folder of the flows.
        profiles_file: used unless the settings name profiles.
        plugins_dir: a plugin path, in internal_fast mode.
    """

    called = "'layout'"

    flows_dir: Text = "flows"
    profiles_file: Text | None = None
    plugins_dir: Text | None = None


class BundleSpec(_Spec, frozen=True):
    """`bundle`: its name, its source, and what is in it.

    Attributes:
        id: the name of its folder on this machine.
        source: where the files come from.
        layout: what lies where.
        entry_flow: the flow that is run when none is named.
        fetch_policy: cache_check reads what changed; always reads every file at each sync.
    """

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
    """The whole file.

    Attributes:
        version: the version of this format.
        bundle: what it is and where it comes from.
        mode: enterprise lets a flow use only what is listed here.
        resources: for the source, and for flows that do not declare the name themselves.
        paths: places on this machine.
        zip_drivers: the archive drivers that enterprise mode allows.
        env_files: variables for the flows, from the root of the bundle.
    """

    called = "the manifest"

    version: Literal[1]
    bundle: BundleSpec
    mode: Mode = "internal_fast"
    resources: dict[str, ResourceSpec] = {}
    paths: PathsSpec = PathsSpec()
    zip_drivers: list[Text] = []
    env_files: list[EnvFile] = []
