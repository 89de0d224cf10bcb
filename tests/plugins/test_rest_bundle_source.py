"""Bundles from a web server: what changed, went away, arrived half, or is no listing."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest
from aetherflow_rest.bundle_source import RestSource

from aetherflow import BundleError, Connector
from aetherflow.bundle.bundle_paths import bundle_paths
from aetherflow.bundle.source import SourceRequest
from aetherflow.bundle.sync import sync
from aetherflow.bundle.sync_report import SyncReport
from aetherflow.spec.manifest import BundleSpec, SourceSpec
from aetherflow.transfer.local_files import LocalFiles
from tests.bundle.bundle_parts import NoWaiting
from tests.plugins.rest_parts import opened
from tests.servers.http_server import Answer, HttpServer, Request
from tests.servers.tcp_proxy import TcpProxy

pytestmark = pytest.mark.asyncio


class Place:
    """The files of a web server, and the bundle that is synced from it."""

    def __init__(self, folder: Path, server: HttpServer, **source: Any) -> None:
        self.files = {"flows/a.yaml": b"a", "data/b.bin": b"b" * 3_000_000, "data/ü &.txt": b"c"}
        self.server = server
        self.folder = folder
        self.paths = bundle_paths(folder / "work", "team")
        self.spec = SourceSpec(type="rest", resource="web", **source)
        server.on(
            "/v1/list", lambda _request: Answer(json={"files": [self.row(name) for name in self.files]})
        )
        server.on("/v1/fetch", self.fetched)

    def row(self, name: str) -> dict[str, Any]:
        content = self.files[name]
        sha256 = hashlib.sha256(content).hexdigest()
        return {"path": name, "sha256": sha256, "size": len(content), "mtime": 1_700_000_000}

    def fetched(self, request: Request) -> Answer:
        content = self.files.get(request.query["path"])
        return Answer(404) if content is None else Answer(body=content)

    async def sync(self, port: int | None = None) -> SyncReport:
        """Sync the bundle, through another port if one is given, and return the report."""
        url = f"http://127.0.0.1:{port or self.server.port}/v1"
        async with opened(url, {"timeout": 5}) as connector:

            async def connect() -> Connector:
                return connector

            async def source() -> RestSource:
                return await RestSource.open(SourceRequest("team", self.spec, self.folder, connect))

            bundle = BundleSpec(id="team", source=self.spec)
            synced = await sync(bundle, self.paths, source, NoWaiting(), origin="o")
        synced.hold.close()
        return synced.report

    def tree(self) -> dict[str, bytes]:
        """Return the active files."""
        root = self.paths.active.resolve()
        return {p.relative_to(root).as_posix(): p.read_bytes() for p in root.rglob("*") if p.is_file()}


async def test_what_changed_is_fetched_and_what_went_away_is_gone(tmp_path: Path) -> None:
    with HttpServer() as server:
        place = Place(tmp_path, server)
        assert (await place.sync()).fetched == 3
        assert place.tree() == place.files
        assert (await place.sync()).fetched == 0

        place.files |= {"flows/a.yaml": b"A"}
        del place.files["data/ü &.txt"]
        assert (await place.sync()).fetched == 1
        assert place.tree() == place.files
    fetches = [request for request in server.requests if request.path == "/v1/fetch"]
    assert {"bundle": "team", "path": "flows/a.yaml"} in [
        fetch.query for fetch in fetches[:3]
    ]  # three at once
    assert fetches[3].query == {"bundle": "team", "path": "flows/a.yaml"}


async def test_the_keys_of_the_source_name_paths_and_parameters(tmp_path: Path) -> None:
    with HttpServer() as server:
        place = Place(
            tmp_path,
            server,
            bundle="nightly",
            base_path="prod",
            list_path="/files?kind=flow",
            fetch_path="/file",
            prefix_param="root",
        )
        server.on("/v1/files", lambda _request: Answer(json=[place.row("flows/a.yaml")]))
        server.on("/v1/file", place.fetched)
        assert (await place.sync()).files == 1
    assert [request.query for request in server.requests[:2]] == [
        {"kind": "flow", "bundle": "nightly", "root": "prod"},
        {"bundle": "nightly", "root": "prod", "path": "flows/a.yaml"},
    ]


async def test_a_half_file_is_fetched_again_and_never_active(tmp_path: Path) -> None:
    with HttpServer() as server, TcpProxy(server.port) as proxy:
        place = Place(tmp_path, server)
        proxy.cut_after(1_500_000, "down")
        assert (await place.sync(proxy.port)).files == 3
        assert (proxy.cuts, place.tree()) == (1, place.files)

        before = dict(place.files)
        place.files |= {"data/b.bin": b"B" * 3_000_000, "flows/a.yaml": b"A"}
        proxy.cut_after(1_500_000, "down", each=True)
        with pytest.raises(BundleError, match="broke in the middle of GET"):
            await place.sync(proxy.port)
        assert place.tree() == before

        proxy.heal()
        await place.sync(proxy.port)
        assert place.tree() == place.files


async def test_another_content_than_was_listed_is_refused(tmp_path: Path) -> None:
    with HttpServer() as server:
        place = Place(tmp_path, server)
        server.on("/v1/fetch", Answer(body=b"x"))
        with pytest.raises(BundleError, match=r"the source says sha256|became shorter"):
            await place.sync()
        server.on("/v1/fetch", Answer(404))
        with pytest.raises(BundleError, match="the source keeps changing: /fetch does not have"):
            await place.sync()
        server.on("/v1/fetch", Answer(403, "not you"))
        with pytest.raises(BundleError, match="answered 403 Forbidden: not you"):
            await place.sync()


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (Answer(500, "sorry"), "answered 500 Internal Server Error: sorry"),
        (Answer(body="<html>"), "the answer is not valid JSON"),
        (Answer(json={"items": []}), "GET /list answers no list of files"),
        (Answer(json=["a"]), "GET /list answers 'a' instead of a file"),
        (Answer(json=[{"path": "a", "size": "1"}]), "a file whose path is 'a' and whose size is '1'"),
        (Answer(json=[{"path": "../a", "size": 1}]), "a"),
        (Answer(json=[]), "the source has no files"),
    ],
)
async def test_a_listing_that_is_none_is_described(tmp_path: Path, answer: Answer, message: str) -> None:
    with HttpServer() as server:
        place = Place(tmp_path, server)
        server.on("/v1/list", answer)
        with pytest.raises(BundleError) as caught:
            await place.sync()
    assert message in caught.value.message
    assert caught.value.hint


async def test_another_resource_is_no_http_server(tmp_path: Path) -> None:
    async def connect() -> Connector:
        return LocalFiles("web", None)

    request = SourceRequest("team", SourceSpec(type="rest", resource="web"), tmp_path, connect)
    with pytest.raises(BundleError, match="'web' is no HTTP server"):
        await RestSource.open(request)
