"""`bundle sync|status`: what comes from the source, what stays active, and what is reported."""

from __future__ import annotations

import json
import resource
import shutil
import subprocess

import pytest

from tests.cli.bundle_files import HELLO, MANIFEST, OPTION, root, with_bundle
from tests.cli.command_line import AETHERFLOW, CommandLine, no_trace

SOURCE = """
from pathlib import Path
from aetherflow import BundleFile, BundleSource, Connector, StepError


class Server(Connector):
    @classmethod
    async def open(cls, resource):
        self = cls()
        self.folder = Path(resource.config["folder"])
        if not self.folder.is_dir():
            raise StepError(f"no folder for the token {resource.config['token']}", code="AF704")
        self.say("open")
        return self

    def say(self, word):
        with self.folder.with_suffix(".log").open("a") as log:
            log.write(word + chr(10))

    async def aclose(self):
        self.say("close")


class RestSource(BundleSource):
    @classmethod
    async def open(cls, request):
        assert (request.spec.list_path, request.spec.fetch_path) == ("/l", "/f")
        self = cls()
        self.folder = (await request.connect()).folder
        return self

    async def list(self):
        for path in self.folder.rglob("*"):
            if path.is_file():
                yield BundleFile(path.relative_to(self.folder).as_posix(), path.stat().st_size, mtime_ns=1)

    async def read(self, file):
        yield (self.folder / file.path).read_bytes()
"""


@pytest.fixture
def shop(cli: CommandLine) -> CommandLine:
    return with_bundle(cli)


def test_validate_doctor_explain_and_dry_run_work_on_a_bundle(shop: CommandLine) -> None:
    for command in (["validate"], ["doctor"], ["explain"], ["run", "--dry-run"]):
        result = shop.run(*command, *OPTION)
        assert result.code == 0, result
        assert no_trace(result)

    shop.write("share/flows/hello.yaml", HELLO.replace("type:", "typ:"))
    result = shop.run("validate", *OPTION)
    assert result.code == 2
    assert "flows/hello.yaml:7:17: error[AF111]" in result.err


def test_sync_and_status_show_what_is_and_what_changed(shop: CommandLine) -> None:
    status = shop.run("bundle", "status", *OPTION)
    assert status.code == 0
    assert "active     none" in status.out
    assert "source     3 new, 0 changed, 0 removed" in status.out
    assert not root(shop).exists(), "status changes nothing"

    synced = shop.run("bundle", "sync", *OPTION)
    assert synced.code == 0
    assert synced.out.startswith("active is now ")
    assert "source     unchanged since the last sync" in shop.run("bundle", "status", *OPTION).out

    shop.write("share/data.txt", "second\n")
    (shop.folder / "share/flows/other.yaml").unlink()
    found = shop.run("bundle", "status", *OPTION, "--json").json()
    assert found["source"] == {"added": 0, "changed": 1, "removed": 1}
    report = shop.run("bundle", "sync", *OPTION, "--json").json()
    assert (report["switched"], report["fetched"], report["files"]) == (True, 1, 2)
    assert report["fingerprint"] != found["active"]


def test_a_source_that_is_gone_stops_the_run_unless_a_stale_bundle_is_allowed(shop: CommandLine) -> None:
    gone = shop.folder / "share"
    assert shop.run("run", *OPTION).code == 0
    fingerprint = (root(shop) / "active").readlink().name
    shutil.rmtree(gone)

    refused = shop.run("run", *OPTION)
    assert refused.code == 1
    assert f"error[AF856]: the source folder {gone} cannot be opened" in refused.err
    assert f"--allow-stale-bundle to use {fingerprint[:12]}" in refused.err

    allowed = shop.run("run", *OPTION, "--allow-stale-bundle", "--run-id", "stale")
    assert allowed.code == 0, allowed
    assert f"AF866: the bundle 'demo' may be stale, {fingerprint[:12]} is used: " in allowed.err
    [(event,)] = shop.query("select payload from events where event = 'run_started' and run_id = 'stale'")
    assert json.loads(event)["bundle"]["stale"].startswith("the source folder")
    shown = shop.run("runs", "show", "stale")
    manifest = shop.folder / "bundle.yaml"
    assert (
        f"bundle demo {fingerprint[:12]}, flows/hello.yaml, by {manifest}; it may be stale: the" in shown.out
    )
    assert shop.run("runs", "show", "stale", "--json").json()["bundle"]["fingerprint"] == fingerprint

    unsynced = shop.run("bundle", "sync", *OPTION)
    assert unsynced.code == 1
    assert "--allow-stale-bundle" not in unsynced.err, "it has no such option"

    for command in ("validate", "doctor", "explain"):
        looked = shop.run(command, *OPTION)
        assert looked.code == 2, looked
        assert f"error[AF856]: the source folder {gone} cannot be opened" in looked.err
        assert shop.run(command, *OPTION, "--allow-stale-bundle").code == 0

    status = shop.run("bundle", "status", *OPTION)
    assert "failed: [AF856]" in status.out
    assert "source     cannot be read" in status.out
    assert fingerprint in status.out


def test_what_came_from_another_source_is_not_offered_nor_used(shop: CommandLine) -> None:
    """A manifest whose source is another one now must not run the files of the old one."""
    assert shop.run("run", *OPTION).code == 0
    shop.write("bundle.yaml", MANIFEST.replace("share", "nowhere"))

    refused = shop.run("run", *OPTION)
    assert refused.code == 1
    assert "AF856" in refused.err
    assert "--allow-stale-bundle" not in refused.err

    refused = shop.run("run", *OPTION, "--allow-stale-bundle")
    assert refused.code == 1
    assert "what is active here came from another source" in refused.err
    status = shop.run("bundle", "status", *OPTION)
    assert ", of another source\n" in status.out
    assert shop.run("bundle", "status", *OPTION, "--json").json()["of_other_source"] is True

    shutil.copytree(shop.folder / "share", shop.folder / "nowhere")
    assert "the source differs from that of the previous sync" in shop.run("bundle", "sync", *OPTION).out
    assert ", of another source" not in shop.run("bundle", "status", *OPTION).out


def test_a_source_that_was_emptied_leaves_the_last_bundle_active(shop: CommandLine) -> None:
    assert shop.run("run", *OPTION).code == 0
    before = (root(shop) / "active").readlink()
    shutil.rmtree(shop.folder / "share/flows")

    refused = shop.run("run", *OPTION)
    assert refused.code == 1
    assert "error[AF864]: the source has no flows/hello.yaml, which entry_flow of the manifest" in refused.err

    assert shop.run("run", *OPTION, "--allow-stale-bundle").code == 0
    assert (root(shop) / "active").readlink() == before


def test_without_any_snapshot_nothing_stale_can_be_allowed(shop: CommandLine) -> None:
    shutil.rmtree(shop.folder / "share")

    result = shop.run("run", *OPTION, "--allow-stale-bundle")

    assert result.code == 1
    assert "error[AF856]" in result.err
    assert "--allow-stale-bundle" not in result.err


def test_a_wrong_manifest_is_reported_with_its_places(shop: CommandLine) -> None:
    shop.write("bundle.yaml", MANIFEST.replace("base_path: share", "resource: x"))

    result = shop.run("run", *OPTION)

    assert result.code == 2
    assert "bundle.yaml:5:3: error[AF850]: missing key 'base_path'" in result.err


def test_json_reports_of_a_bundle_that_cannot_be_synced_are_json_too(shop: CommandLine) -> None:
    shutil.rmtree(shop.folder / "share")
    synced = shop.run("bundle", "sync", *OPTION, "--json")
    assert (synced.code, synced.err, synced.json()["ok"]) == (1, "", False)
    (diagnostic,) = synced.json()["diagnostics"]
    assert (diagnostic["code"], diagnostic["file"]) == ("AF856", "bundle.yaml")
    assert shop.run("validate", *OPTION, "--json").json()["diagnostics"][0]["file"] == "bundle.yaml"

    shop.write("bundle.yaml", MANIFEST.replace("base_path: share", "resource: x"))
    for command in ("sync", "status"):
        wrong = shop.run("bundle", command, *OPTION, "--json")
        assert wrong.code == 2
        assert [one["line"] for one in wrong.json()["diagnostics"]] == [5, 5]


def test_a_type_of_source_that_nobody_implements_says_so(shop: CommandLine) -> None:
    shop.write(
        "bundle.yaml",
        MANIFEST.replace("{type: filesystem, base_path: share}", "{type: git, resource: r, base_path: b}")
        + "resources: {r: {kind: git, driver: none}}\n",
    )

    result = shop.run("bundle", "sync", *OPTION)

    assert result.code == 2
    assert "error[AF861]: no installed package implements bundle sources of type 'git'" in result.err
    assert "aetherflow.bundle_sources" in result.err


def test_a_full_disk_leaves_the_last_bundle_active(shop: CommandLine) -> None:
    assert shop.run("bundle", "sync", *OPTION).code == 0
    before = (root(shop) / "active").readlink()
    shop.write("share/large", "x" * 200_000)

    full = subprocess.run(
        [AETHERFLOW, "bundle", "sync", *OPTION],
        cwd=shop.folder,
        env=shop.env,
        capture_output=True,
        text=True,
        timeout=30,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000)),
        check=False,
    )

    assert full.returncode == 1, full
    assert "error[AF859]: the bundle cannot be stored: " in full.stderr
    assert "file too large" in full.stderr
    assert (root(shop) / "active").readlink() == before
    assert shop.run("bundle", "sync", *OPTION).code == 0
    assert (root(shop) / "active" / "large").stat().st_size == 200_000


def test_a_plugin_brings_a_type_of_source_with_its_connector(shop: CommandLine) -> None:
    """An installed package registers `shop`; the manifest's resource is resolved, opened and closed."""
    shop.write("site/my_source.py", SOURCE)
    shop.write("site/my_source-1.dist-info/METADATA", "Metadata-Version: 2.1\nName: my-source\nVersion: 1\n")
    shop.write(
        "site/my_source-1.dist-info/entry_points.txt",
        "[aetherflow.bundle_sources]\nshop = my_source:RestSource\n"
        "[aetherflow.connectors]\nrest:mine = my_source:Server\n",
    )
    shop.write(
        "bundle.yaml",
        MANIFEST.replace(
            "{type: filesystem, base_path: share}",
            "{type: shop, resource: server, list_path: /l, fetch_path: /f}",
        )
        + "resources:\n  server: {kind: rest, driver: mine, "
        "config: {folder: '{{env.FOLDER}}', token: 'hush-hush'}}\n",
    )
    shop.env |= {"PYTHONPATH": str(shop.folder / "site"), "FOLDER": str(shop.folder / "share")}

    result = shop.run("run", *OPTION)

    assert result.code == 0, result
    assert "a.s | first" in result.err
    assert (shop.folder / "share.log").read_text() == "open\nclose\n"

    refused = shop.run("bundle", "sync", *OPTION, env={"FOLDER": str(shop.folder / "nowhere")})
    assert refused.code == 1
    assert "error[AF704]: the source: no folder for the token ***" in refused.err

    rotated = (shop.folder / "bundle.yaml").read_text().replace("hush-hush", "a-new-one")
    shop.write("bundle.yaml", rotated)
    assert "fetched 0 files" in shop.run("bundle", "sync", *OPTION).out

    shop.write("other/flows/hello.yaml", HELLO)
    shop.write("other/data.txt", "FIRST\n")  # of the size and time that the other server's file has
    moved = shop.run("run", *OPTION, env={"FOLDER": str(shop.folder / "other")})
    assert "a.s | FIRST" in moved.err

    shop.write(
        "site/my_source.py", SOURCE.replace("for path in", "raise ValueError('oops')\n        for path in")
    )
    broken = shop.run("run", *OPTION)
    assert broken.code == 1
    assert "error[AF860]: the source (type shop) cannot be listed: ValueError: oops" in broken.err
    assert "site/my_source.py:" in broken.err
    assert no_trace(broken)


def test_two_manifests_with_one_id_do_not_share_what_is_active(shop: CommandLine) -> None:
    shop.write("other/flows/hello.yaml", HELLO)
    shop.write("other/data.txt", "from the other\n")
    shop.write("two/bundle.yaml", MANIFEST.replace("base_path: share", "base_path: ../other"))
    other = ("--bundle-manifest", "two/bundle.yaml")

    assert "a.s | first" in shop.run("run", *OPTION).err
    assert "a.s | from the other" in shop.run("run", *other).err
    assert "source     unchanged since the last sync" in shop.run("bundle", "status", *OPTION).out
    status = shop.run("bundle", "status", *other).out
    assert "unchanged since the last sync" in status
    assert f"a folder of its own: {shop.folder}/bundle.yaml has the same id and another source" in status
    assert shop.run("bundle", "status", *other, "--json").json()["same_id"] == f"{shop.folder}/bundle.yaml"
