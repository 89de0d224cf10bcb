"""The demos that move files, as their reader types them: real servers, started by the demo itself."""

from __future__ import annotations

import filecmp
import re
import shutil
import sys
import zipfile
from pathlib import Path

import pytest
import yaml

from tests.cli.command_line import CommandLine, Result, no_trace

DEMO = Path(__file__).parents[2] / "demo"
LOCAL, REMOTE = "demo/usecase-multiflows-local", "demo/usecase-multiflows-remote"
COMMON = {
    *("SMB_HOST", "SMB_SHARE", "SMB_USER", "SMB_PASSWORD"),
    *("SMTP_HOST", "SMTP_USER", "SMTP_PASSWORD", "MAIL_FROM"),
}
VARIABLES = {"uc1": {*COMMON, "SFTP_HOST", "SFTP_USER", "SFTP_KEY"}, "uc2": {*COMMON, "EXA_DSN"}}
"""What the resources of each flow of the remote demo need."""


@pytest.fixture
def place(cli: CommandLine) -> CommandLine:
    """A checkout with both demos."""
    shutil.copytree(DEMO, cli.folder / "demo", ignore=shutil.ignore_patterns("output"))
    (cli.folder / ".venv").symlink_to(sys.prefix)
    return cli


def files_on_the_share(place: CommandLine, demo: str) -> set[str]:
    root = place.folder / "demo" / "output" / demo / "share" / "REPORTS"
    return {re.sub(r"\d{4}-\d\d-\d\d", "DATE", str(path.relative_to(root))) for path in root.rglob("*.*")}


def mails_in(result: Result) -> list[str]:
    """Return the subjects of the mails that the script shows."""
    return [
        re.sub(r"\d{4}-\d\d-\d\d", "DATE", one)
        for one in re.findall(r"^   Subject: (.*)$", result.out, re.MULTILINE)
    ]


def test_the_local_demo_moves_files_from_server_to_server_and_shows_what_arrived(place: CommandLine) -> None:
    done = place.bash(f"sh {LOCAL}/run.sh")

    assert done.code == 0, done
    assert no_trace(done)
    assert mails_in(done) == ["Orders of DATE: 4", "Sales and returns, DATE"]
    assert "   | 4 orders of 3 regions arrived, 247.90 EUR in all.\n" in done.out
    assert "   |    south,1,112.50\n" in done.out
    assert "   Cc: Sales <sales@example.org>\n" in done.out
    assert files_on_the_share(place, "multiflows-local") == {
        "orders/orders-DATE.zip",
        "monthly/DATE/report-DATE.xlsx",
    }
    assert "      summary.csv  64 bytes\n" in done.out
    assert "   |    north | 120 | 2988\n" in done.out
    assert "   |    south | too late | 1\n" in done.out
    report = next((place.folder / "demo/output/multiflows-local/share").rglob("report-*.xlsx"))
    with zipfile.ZipFile(report) as package:
        assert b"<f>SUM(D9:D11)</f>" in package.read("xl/worksheets/sheet1.xml")
        assert b"<c:f>Report!$D$9:$D$11</c:f>" in package.read("xl/charts/chart1.xml")
    assert re.search(r"^   share   (127\.0\.0\.1:\d+ \(Samba\)|.* is used instead)", done.out, re.MULTILINE)
    sftp = place.folder / "demo" / "output" / "multiflows-local" / "sftp"
    assert {path.parent.name for path in sftp.rglob("*.zip")} == {"done"}
    assert re.findall(r"^   (done/orders-\S+)  ", done.out, re.MULTILINE) == [
        "done/orders-north.zip",
        "done/orders-süd.zip",
    ]


def test_a_second_demo_at_the_same_time_says_why_it_does_not_run(place: CommandLine) -> None:
    first = place.bash(f"sh {LOCAL}/run.sh sh {LOCAL}/run.sh true", env={"DEMO_SHARE": "share_folder"})

    assert first.code == 75, first
    assert "The demo runs already with the folder" in first.out
    assert "== The mails that arrived\n   none\n" in first.out


def test_the_remote_demo_says_what_is_missing_and_runs_on_the_servers_of_the_local_one(
    place: CommandLine,
) -> None:
    done = place.bash(f"sh {REMOTE}/run.sh", env={"DEMO_SHARE": "share_folder"})

    assert done.code == 0, done
    assert no_trace(done)
    missing, _, ran = done.out.partition("== Running the flows on the servers of the local demo")
    for flow, variables in VARIABLES.items():
        for command in ("validate", "doctor"):
            said = missing.partition(
                f": aetherflow {command} --bundle-manifest {REMOTE}/bundles/{flow}.yaml\n"
            )[2]
            said = said.partition("\n==")[0]
            assert set(re.findall(r"the environment variable (\w+), which is not set", said)) == variables
    assert (
        missing.count("the environment variable MAIL_TO is not set") == 4
    )  # by both commands, for both flows
    assert mails_in(done) == ["Orders of DATE: 4", "Sales and returns, DATE", "No orders on DATE"]
    assert "(driver smb:folder)" in ran
    assert "is used in place of the shares of" in done.err
    assert files_on_the_share(place, "multiflows-remote") == {
        "orders/orders-DATE.zip",
        "monthly/DATE/report-DATE.xlsx",
    }


@pytest.mark.parametrize("demo", [LOCAL, REMOTE])
def test_the_scheduler_files_are_valid(place: CommandLine, demo: str) -> None:
    work = {"AETHERFLOW_WORK_ROOT": str(place.folder / "work"), "DEMO_DIR": str(place.folder)}
    result = place.run("validate", f"{demo}/scheduler/scheduler.yaml", env=work)

    assert result.code == 0, result
    assert result.out.splitlines()[-1].startswith(f"{demo}/scheduler/scheduler.yaml: valid")


def test_every_script_parses(cli: CommandLine) -> None:
    scripts = [str(path) for path in DEMO.glob("*/*.sh")]

    assert len(scripts) > 5
    assert cli.bash(f"for one in {' '.join(scripts)}; do sh -n $one || exit 1; done").code == 0


def test_the_plugin_is_the_same_in_both() -> None:
    name = "plugins/orders.py"
    assert filecmp.cmp(DEMO.parent / LOCAL / name, DEMO.parent / REMOTE / name, shallow=False)


def test_the_template_is_the_same_in_both_and_both_fill_it() -> None:
    name = "templates/report.xlsx"
    assert filecmp.cmp(DEMO.parent / LOCAL / name, DEMO.parent / REMOTE / name, shallow=False)
    for demo in (LOCAL, REMOTE):
        flow = yaml.safe_load((DEMO.parent / demo / "flows" / "uc2.yaml").read_text())
        types = [step["type"] for step in flow["jobs"][0]["steps"]]
        assert types[2:4] == ["excel_validate_template", "excel_fill_from_file"]
