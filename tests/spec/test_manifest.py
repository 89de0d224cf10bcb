from __future__ import annotations

from pathlib import Path

import pytest

from aetherflow.errors import InvalidInput
from aetherflow.spec.env_file import EnvFile
from aetherflow.spec.load_manifest import ManifestDocument, load_manifest
from aetherflow.spec.manifest import LayoutSpec, PathsSpec, SourceSpec

FULL = """
version: 1
mode: enterprise
bundle:
  id: demo
  source: {type: sftp, resource: server, base_path: /flows, strict_fingerprint: true}
  layout: {flows_dir: jobs, profiles_file: p.yaml, plugins_dir: extra}
  entry_flow: main.yaml
  fetch_policy: always
resources:
  server: {kind: sftp, driver: asyncssh}
paths: {plugins: [/opt/plugins], allow: /srv}
zip_drivers: [zipfile]
env_files: [{type: json, path: env.json, optional: true}]
"""
LEAST = "version: 1\nbundle: {id: demo, source: {type: filesystem, base_path: share}}\n"


def load(tmp_path: Path, text: str) -> ManifestDocument:
    path = tmp_path / "bundle.yaml"
    path.write_text(text)
    return load_manifest(path)


def diagnostics(tmp_path: Path, text: str) -> list[str]:
    """Return `line:column: code: message` of each diagnostic."""
    with pytest.raises(InvalidInput) as caught:
        load(tmp_path, text)
    return [f"{d.line}:{d.column}: {d.code}: {d.message}" for d in caught.value.diagnostics]


def test_every_key_is_read(tmp_path: Path) -> None:
    loaded = load(tmp_path, FULL)
    spec = loaded.spec

    assert spec.mode == "enterprise"
    assert spec.bundle.source == SourceSpec(
        type="sftp", resource="server", base_path="/flows", strict_fingerprint=True
    )
    assert spec.bundle.layout == LayoutSpec("jobs", "p.yaml", "extra")
    assert (spec.bundle.entry_flow, spec.bundle.fetch_policy) == ("main.yaml", "always")
    assert spec.paths == PathsSpec(["/opt/plugins"], "/srv")
    assert spec.zip_drivers == ["zipfile"]
    assert spec.env_files == [EnvFile(type="json", path="env.json", optional=True)]
    assert loaded.directory == tmp_path


def test_most_keys_have_defaults(tmp_path: Path) -> None:
    spec = load(tmp_path, LEAST).spec

    assert (spec.mode, spec.bundle.fetch_policy, spec.bundle.entry_flow) == (
        "internal_fast",
        "cache_check",
        None,
    )
    assert spec.bundle.layout == LayoutSpec("flows", None, None)


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("type: filesystem", ["missing key 'base_path'"]),
        ("type: sftp", ["missing key 'resource'", "missing key 'base_path'"]),
        ("type: smb, resource: r", ["missing key 'base_path'"]),
        ("type: db", ["missing key 'resource'"]),
        ("type: rest, base_path: b", ["missing key 'resource'"]),
        ("type: filesytem, base_path: b", ["'filesytem' is no type of source"]),
        ("type: filesystem, base_path: b, list_sql: s", ["'list_sql' does not belong"]),
        ("type: db, resource: r, list_sql: a, fetch_sql: b, fetch_path: c", ["'fetch_path' does not belong"]),
        ("type: sftp, resource: r, base_path: b, prefix_param: p", ["'prefix_param' does not belong"]),
    ],
)
def test_a_source_needs_the_keys_of_its_type_and_no_others(
    tmp_path: Path, source: str, said: list[str]
) -> None:
    text = (
        f"version: 1\nbundle: {{id: demo, source: {{{source}}}}}\nresources: {{r: {{kind: k, driver: d}}}}\n"
    )

    found = diagnostics(tmp_path, text)

    assert len(found) == len(said)
    for diagnostic, words in zip(found, said, strict=True):
        assert "AF850" in diagnostic
        assert words in diagnostic


@pytest.mark.parametrize(
    "source",
    [
        "type: db, resource: r, list_sql: a, fetch_sql: b, prefix_param: p, base_path: x",
        "type: db, resource: r",
        "type: rest, resource: r, list_path: /l, fetch_path: /f, prefix_param: p",
        "type: git, resource: r",
        "type: smb, resource: r, base_path: 'SHARE:/flows'",
        "type: filesystem, base_path: /srv/flows, strict_fingerprint: true",
    ],
)
def test_each_type_of_source_is_taken(tmp_path: Path, source: str) -> None:
    text = (
        f"version: 1\nbundle: {{id: demo, source: {{{source}}}}}\nresources: {{r: {{kind: k, driver: d}}}}\n"
    )

    assert load(tmp_path, text).spec.bundle.source.type in source


def test_an_unknown_resource_of_the_source_suggests_the_nearest(tmp_path: Path) -> None:
    text = FULL.replace("resource: server,", "resource: sever,")

    with pytest.raises(InvalidInput) as caught:
        load(tmp_path, text)

    (diagnostic,) = caught.value.diagnostics
    assert (diagnostic.code, diagnostic.line, diagnostic.hint) == ("AF852", 6, "did you mean 'server'?")


@pytest.mark.parametrize("path", ["../x", "/x", "a/../../x", "\\x", "C:/x", "a\\..\\x"])
@pytest.mark.parametrize("key", ["flows_dir", "profiles_file", "plugins_dir"])
def test_no_path_of_the_layout_leaves_the_bundle(tmp_path: Path, key: str, path: str) -> None:
    source = "source: {type: filesystem, base_path: b}"
    text = f"version: 1\nbundle:\n  id: d\n  {source}\n  layout: {{{key}: '{path}'}}\n"

    (found,) = diagnostics(tmp_path, text)

    assert found.startswith("5:12: AF851: ")


def test_everything_is_reported_at_once_in_the_order_of_the_file(tmp_path: Path) -> None:
    text = """
version: 2
mode: fast
bundle:
  id: -x
  source: {type: filesystem, list_sql: x}
  layout: {flow_dir: x, profiles_file: /etc/x}
  entry_flow: ../x
  fetch_policy: never
zip_drivers: zipfile
env_files: [{path: a/../../b}, {typ: json}]
extra: 1
"""
    assert [
        one.rpartition(": ")[0].split(": ")[1] + "@" + one.split(":")[0]
        for one in diagnostics(tmp_path, text)
    ] == [
        "AF113@2",
        "AF113@3",
        "AF113@5",
        "AF850@6",
        "AF850@6",
        "AF111@7",
        "AF851@7",
        "AF851@8",
        "AF113@9",
        "AF110@10",
        "AF851@11",
        "AF112@11",
        "AF111@11",
        "AF111@12",
    ]


@pytest.mark.parametrize(
    "text", ["", "[]", "version: 1", "bundle: 5", "version: 1\nbundle: {source: 3}", "a: [", "{"]
)
def test_other_shapes_are_reported_with_a_place(tmp_path: Path, text: str) -> None:
    assert diagnostics(tmp_path, text)


def test_a_manifest_that_is_not_there_is_reported(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="there is no such file"):
        load_manifest(tmp_path / "none.yaml")


def test_an_absolute_env_file_is_of_this_machine(tmp_path: Path) -> None:
    text = LEAST + "env_files: [{path: /etc/night.env}, {path: ~/x.env}]\n"

    assert [one.path for one in load(tmp_path, text).spec.env_files] == ["/etc/night.env", "~/x.env"]
