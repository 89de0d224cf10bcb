"""A transfer that removes its sources, while another step takes them, too."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.check.test_check_flow import HEAD, checked, reported

RESOURCES = """\
resources:
  a: {kind: file, driver: local, config: {root: /a}}
  b: {kind: file, driver: local, config: {root: /b}}
"""


def flow(*steps: str, second_job: bool = False) -> str:
    """Return a flow of these steps, the last of them in another job."""
    text = HEAD + RESOURCES + "jobs:\n  - id: one\n    steps:\n"
    for number, step in enumerate(steps):
        kind, _, inputs = step.partition(" ")
        if second_job and number == len(steps) - 1:
            text += "  - id: two\n    depends_on: [one]\n    steps:\n"
        text += f"      - {{id: s{number}, type: {kind}, inputs: {{{inputs}}}}}\n"
    return text


GONE = ", after: delete"
UPLOAD = "file_upload_files resource: %s, remote_dir: x, items: [%s]%s"
DOWNLOAD = "file_download_files resource: %s, remote_dir: %s, dest_dir: d%s"


@pytest.mark.parametrize(
    ("steps", "second_job", "taken"),
    [
        ([UPLOAD % ("a", "out.csv", GONE), UPLOAD % ("b", "./out.csv", "")], False, "out.csv"),
        (
            [UPLOAD % ("a", "{file: out.csv}", GONE), "zip src: out.csv, dst: o.zip"],
            False,
            "out.csv",
        ),
        ([UPLOAD % ("a", "out.csv", ", after: keep"), UPLOAD % ("b", "out.csv", "")], False, ""),
        ([UPLOAD % ("a", "out.csv", GONE), UPLOAD % ("b", "other.csv", "")], False, ""),
        ([UPLOAD % ("a", "out.csv", GONE), UPLOAD % ("b", "out.csv", "")], True, ""),
        ([DOWNLOAD % ("a", "in/", GONE), DOWNLOAD % ("a", "in", "")], True, "in"),
        ([DOWNLOAD % ("a", "in", GONE), DOWNLOAD % ("b", "in", "")], True, ""),
        (
            [
                DOWNLOAD % ("a", "in", f"{GONE}, pattern: '*.csv'"),
                DOWNLOAD % ("a", "in", ", pattern: '*.x'"),
            ],
            False,
            "",
        ),
    ],
)
def test_what_two_steps_take_and_one_removes_is_reported(
    tmp_path: Path,
    steps: list[str],
    second_job: bool,  # noqa: FBT001 - a parameter of the test
    taken: str,
) -> None:
    found = [
        one for one in reported(checked(flow(*steps, second_job=second_job), tmp_path)) if "AF5" not in one
    ]
    other = "two.s1" if second_job else "one.s1"
    message = (
        f"warning[AF831] one.s0 removes its sources at its success; {other} takes one, too: {taken} "
        "(let the step that takes them last remove them)"
    )
    assert [one.partition(" ")[2] for one in found] == ([message] if taken else [])
