from __future__ import annotations

from pathlib import Path

import pytest

from aetherflow.config.environment import load_environment
from aetherflow.config.restrictions import Restrictions, check_place, is_under, restrictions_of
from aetherflow.config.settings import load_settings
from aetherflow.errors import ConfigError
from aetherflow.spec.env_file import EnvFile

HOME = {"HOME": "/home/x"}
ENTERPRISE = HOME | {"AETHERFLOW_MODE": "enterprise"}


def test_only_enterprise_mode_restricts(tmp_path: Path) -> None:
    assert restrictions_of(load_settings(HOME), [tmp_path], ["zipfile"]) == Restrictions()

    found = restrictions_of(load_settings(ENTERPRISE), [tmp_path], ["zipfile"])

    assert found == Restrictions((tmp_path,), frozenset({"zipfile"}))
    assert restrictions_of(load_settings(ENTERPRISE), [], []) == Restrictions((), frozenset())


def test_under_means_with_all_links_followed(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "out").mkdir()
    (tmp_path / "in" / "link").symlink_to(tmp_path / "out")
    (tmp_path / "way").symlink_to(tmp_path / "in")
    roots = [tmp_path / "in"]

    for inside in ("in", "in/x/y", "in/x/../y", "way/x", "out/../in/x"):
        assert is_under(tmp_path / inside, roots), inside
    for outside in ("", "out", "in/../out", "in/link/x", "inside", "in/../../x"):
        assert not is_under(tmp_path / outside, roots), outside


def test_a_place_is_checked_against_its_roots_and_what_is_listed(tmp_path: Path) -> None:
    listed = Restrictions((tmp_path / "listed",), frozenset())
    check_place("key", Path("/anywhere"), Restrictions(), ())
    check_place("key", tmp_path / "listed" / "x", listed, ())
    check_place("key", tmp_path / "root" / "x", listed, (tmp_path / "root",))

    with pytest.raises(ConfigError, match="key is /anywhere, which enterprise mode") as caught:
        check_place("key", Path("/anywhere"), listed, (tmp_path / "root",))

    assert caught.value.code == "AF871"


@pytest.mark.parametrize("is_of_manifest", [True, False])
def test_env_files_of_a_bundle_change_no_setting(tmp_path: Path, *, is_of_manifest: bool) -> None:
    (tmp_path / "a.env").write_text("A=1\nAETHERFLOW_PLUGIN_PATHS=/evil\n")
    process = HOME if is_of_manifest else ENTERPRISE

    with pytest.raises(ConfigError, match="sets AETHERFLOW_PLUGIN_PATHS") as caught:
        load_environment(
            process,
            bundle_env_files=[EnvFile("a.env")],
            bundle_directory=tmp_path,
            is_enterprise=is_of_manifest,
        )

    assert caught.value.code == "AF873"
    found = load_environment(HOME, bundle_env_files=[EnvFile("a.env")], bundle_directory=tmp_path)
    assert found.settings.plugin_paths == (Path("/evil"),)


@pytest.mark.parametrize("name", ["HOME", "XDG_STATE_HOME"])
def test_env_files_of_a_bundle_do_not_move_the_state_root(tmp_path: Path, name: str) -> None:
    (tmp_path / "a.env").write_text(f"{name}={tmp_path}\n")
    files = [EnvFile("a.env")]

    with pytest.raises(ConfigError, match=f"sets {name}") as caught:
        load_environment(ENTERPRISE, bundle_env_files=files, bundle_directory=tmp_path)

    assert caught.value.code == "AF873"
    found = load_environment(HOME, bundle_env_files=files, bundle_directory=tmp_path)
    assert found.variables[name] == str(tmp_path)


def test_the_manifest_alone_asks_for_the_mode(tmp_path: Path) -> None:
    found = load_environment(
        HOME, bundle_directory=tmp_path, bundle_variables={"AETHERFLOW_CACHE_DIR": "/c"}, is_enterprise=True
    )

    assert (found.settings.mode, found.settings.sources["mode"]) == ("enterprise", "bundle")
    assert (found.variables["AETHERFLOW_CACHE_DIR"], found.origins["AETHERFLOW_CACHE_DIR"]) == (
        "/c",
        "bundle",
    )
