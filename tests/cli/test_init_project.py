"""`init`: what it writes runs as it is, by the commands that it shows, and nothing is overwritten."""

from __future__ import annotations

import json

import jsonschema
import pytest

from aetherflow.spec.document import read_document
from tests.cli.command_line import CommandLine

FILES = [".env.example", ".gitignore", "README.md", "aetherflow.yaml", "flow.yaml", "profiles.yaml"]


@pytest.fixture
def made(cli: CommandLine) -> CommandLine:
    """A folder `new` with a new project in it."""
    result = cli.run("init", "new")
    assert (result.code, result.err) == (0, ""), result
    assert sorted(path.name for path in (cli.folder / "new").iterdir()) == FILES
    assert sorted(result.out.splitlines()[:-1]) == [f"new/{name}" for name in FILES]
    assert result.out.splitlines()[-1] == "try it: cd new && aetherflow run flow.yaml --run-id first_flow-1"
    return cli


def test_it_is_valid_without_a_warning_and_runs(made: CommandLine) -> None:
    validated = made.bash("cd new && aetherflow validate flow.yaml")
    assert (validated.out, validated.err) == ("flow.yaml: valid\n", "")

    result = made.bash("cd new && aetherflow run flow.yaml --run-id first_flow-1")

    assert result.code == 0, result
    assert "report.count | 2 rows, of which the last is: 2\ttwo" in result.err
    assert made.query("select run_id from runs") == [("first_flow-1",)]  # in the usual database


def test_its_readme_holds_commands_that_work_in_their_order(made: CommandLine) -> None:
    reported = (made.folder / "new/README.md").read_text()
    commands = [line.strip() for line in reported.splitlines() if line.startswith("    aetherflow")]
    assert len(commands) == 8

    for command in commands:
        result = made.bash(f"cd new && {command}")
        assert result.code == 0, (command, result)

    schema = json.loads((made.folder / "new/flow.schema.json").read_text())
    jsonschema.Draft7Validator(schema).validate(read_document(made.folder / "new/flow.yaml").value)


def test_its_profile_and_its_environment_work_in_the_place_of_the_config(made: CommandLine) -> None:
    path = made.folder / "new/flow.yaml"
    text = path.read_text()
    config = next(line for line in text.splitlines() if line.startswith("    config:"))
    path.write_text(
        text.replace("    # profile: warehouse", "    profile: warehouse").replace(config + "\n", "")
    )

    result = made.bash("cd new && set -a && . ./.env.example && set +a && aetherflow run flow.yaml")

    assert result.code == 0, result


def test_what_a_run_leaves_and_secrets_are_ignored_by_git(made: CommandLine) -> None:
    assert made.bash("cd new && aetherflow run flow.yaml && touch .env && git init -q .").code == 0

    status = made.bash("cd new && git status --porcelain --untracked-files=all").out

    assert sorted(line[3:] for line in status.splitlines()) == FILES


def test_nothing_is_overwritten_unless_it_is_forced(made: CommandLine) -> None:
    flow = made.folder / "new/flow.yaml"
    flow.write_text("mine")

    refused = made.bash("cd new && aetherflow init")

    assert refused.code == 2
    assert "flow.yaml" in refused.err
    assert "are there already" in refused.err
    assert flow.read_text() == "mine"
    assert made.run("init", "project", "new", "--force").code == 0
    assert flow.read_text() != "mine"


def test_a_folder_that_cannot_be_made_is_reported(cli: CommandLine) -> None:
    cli.write("file", "")

    result = cli.run("init", "file/new")

    assert result.code == 2
    assert result.err.startswith("error[AF002]: cannot write file/new: ")


def test_the_help_of_init_names_both(cli: CommandLine) -> None:
    text = cli.run("init", "--help").out

    assert "project" in text
    assert "plugin" in text


@pytest.mark.parametrize("options", [(), ("--force",)])
def test_a_link_is_not_followed_even_by_request(cli: CommandLine, options: tuple[str, ...]) -> None:
    cli.write("precious", "precious")
    (cli.folder / "new").mkdir()
    (cli.folder / "new" / "README.md").symlink_to(cli.folder / "precious")
    (cli.folder / "new" / "flow.yaml").symlink_to("nowhere")

    result = cli.run("init", "new", *options)

    assert result.code == 2
    assert "new/flow.yaml is a symbolic link to nowhere, which does not exist" in result.err
    assert f"new/README.md is a symbolic link to {cli.folder}/precious;" in result.err
    assert "remove what is a link, or name another folder" in result.err
    assert (cli.folder / "precious").read_text() == "precious"
    assert sorted(path.name for path in (cli.folder / "new").iterdir()) == ["README.md", "flow.yaml"]


def test_a_folder_that_is_none_is_named_with_what_it_is(cli: CommandLine) -> None:
    cli.write("file", "")
    (cli.folder / "link").symlink_to("nowhere")

    at_file, at_link = (cli.run("init", "monitoring", name, "--force") for name in ("file", "link"))

    assert (at_file.code, at_link.code) == (2, 2)
    assert "file is there already and is no folder" in at_file.err
    assert "link is a symbolic link to nowhere, which does not exist" in at_link.err
    assert not (cli.folder / "nowhere").exists()
