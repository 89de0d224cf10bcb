"""Every key, input and setting that is a path has its place in the table of the page `paths`."""

from __future__ import annotations

import re
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from aetherflow.config.settings import PREFIX, Settings, load_settings
from aetherflow.manual.pages import page
from aetherflow.registry import registry_of
from aetherflow.spec.flow import FlowFile
from aetherflow.spec.manifest import ManifestFile
from aetherflow.spec.project import ProjectFile
from aetherflow.spec.schedule import ScheduleFile

LIKE_A_PATH = re.compile(
    r"path|file|_dir|^dir$|root|folder|cwd|manifest|plugins|allow|dotenv|flow_yaml|entry_flow"
)
NO_PATHS = {
    "allow_stale_bundle": "whether an old copy may be used",
    "list_path": "of a URL",
    "fetch_path": "of a URL",
    "profile": "a name in the profiles file",
    "file_access": "who may read",
    "remote_dir": "of the other side",
    "files": "of the other side",
    "rel_path": "below another folder",
    "is_dir": "a choice",
    "done_file": "a pattern of a name beside each file",
    "zero_byte": "a choice",
    "env_files": "see `path`",
    "max_files": "a number",
    "private_zip_folder": "a choice",
    "paths": "see `plugins` and `allow`",
    "env_files_json": "see `path`",
    "profiles_json": "no file",
}
"""Fields whose name is like that of a path, and why they have no row of their own."""
OTHER_SPELLINGS = {
    "required_files": "require_files",
    "forbidden_files": "forbid_files",
    "manifest": "bundle_manifest",
}
"""Other names of fields that the table has."""


def rows() -> list[str]:
    """Return the rows of the first table of the page, without its head."""
    table = page("paths").partition("\n|")[2].partition("\n\n")[0]
    return table.splitlines()[2:]


def named() -> set[str]:
    """Return what stands in code spans in the first column, with each part of a dotted key."""
    spans = re.findall(r"`([^`]+)`", " ".join(row.split("|")[1] for row in rows()))
    return {*spans, *(part for span in spans for part in span.split("."))}


def fields(struct: Any, seen: set[Any]) -> Iterator[tuple[Any, str, Any]]:
    """Yield the fields of a Struct and of all Structs in it."""
    if struct in seen:
        return
    seen.add(struct)
    for field in msgspec.structs.fields(struct):
        yield struct, field.name, field.type
        for inner in structs_in(field.type):
            yield from fields(inner, seen)


def structs_in(kind: Any) -> Iterator[Any]:
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        yield kind
    for part in typing.get_args(kind):
        yield from structs_in(part)


def all_structs() -> list[Any]:
    registry = registry_of(load_settings({"HOME": "/h"}))
    steps = [registry.step_type(name).input_type for name in registry.step_names()]
    connectors = [registry.connector_class(name).config_type for name in registry.connector_names()]
    own = [one for one in (*steps, *connectors) if isinstance(one, type) and issubclass(one, msgspec.Struct)]
    return [FlowFile, ScheduleFile, ManifestFile, ProjectFile, *own]


@pytest.mark.parametrize("struct", all_structs(), ids=lambda struct: struct.__name__)
def test_every_key_that_is_a_path_is_in_the_table(struct: Any) -> None:
    table = named()
    missing = {
        f"{owner.__name__}.{name}"
        for owner, name, _ in fields(struct, set())
        if LIKE_A_PATH.search(name) and OTHER_SPELLINGS.get(name, name) not in table and name not in NO_PATHS
    }
    assert missing == set()


def test_every_setting_that_is_a_path_is_in_the_table() -> None:
    paths = {
        f"{PREFIX}{field.name.upper()}"
        for field in msgspec.structs.fields(Settings)
        if Path in (field.type, *typing.get_args(field.type))
    }
    assert paths
    assert paths - named() == set()


def test_the_table_names_nothing_that_does_not_exist() -> None:
    known = {name for struct in all_structs() for _, name, _ in fields(struct, set())}
    known |= {f"{PREFIX}{name.upper()}" for name in Settings.__struct_fields__}
    keys = {name for name in named() if re.fullmatch(r"[a-z_]+", name)}
    of_choices = {"filesystem", "list_files", "zip", "unzip", "archive", "flow", "aetherflow", "yaml"}
    assert keys - known - of_choices == set()


def test_where_each_row_says_what_it_starts_at() -> None:
    assert len(rows()) > 10
    assert all(len(row.split("|")) == 4 and row.split("|")[2].strip() for row in rows())
