"""The public API is what `aetherflow` exports, and the manual page about plugins names all of it."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import aetherflow
from aetherflow import Connector, Resource, StepContext, StepResult
from aetherflow.compat import api

PAGE = Path(aetherflow.__file__).parent / "manual" / "writing-plugins.md"
TEXT = PAGE.read_text(encoding="utf-8")
PROSE = re.sub(r"^```.*?^```", "", TEXT, flags=re.MULTILINE | re.DOTALL)
CODE = " ".join(re.findall(r"`([^`\n]+)`", PROSE))
"""All that stands between single backticks."""


def undocumented(names: list[str]) -> list[str]:
    """Return those names that the page does not name."""
    return [name for name in names if not re.search(rf"(?<![\w]){re.escape(name)}(?![\w])", CODE)]


def public(kind: type[Any]) -> list[str]:
    """Return the public attributes of a class."""
    return [name for name in dir(kind) if not name.startswith("_")]


def test_every_public_name_is_in_the_manual() -> None:
    assert len(aetherflow.__all__) > 10
    assert undocumented(aetherflow.__all__) == []


def test_every_name_that_is_documented_as_missing_is_reported_by_this_test() -> None:
    assert undocumented(["run_sync", "never_written_down"]) == ["never_written_down"]


def test_all_that_a_step_sees_is_in_the_manual() -> None:
    services: Any = None
    own = vars(StepContext(services, job_id="j", step_id="s", step_type="t"))
    names = [*public(StepContext), *(name for name in own if not name.startswith("_"))]

    assert {"connector", "run_sync", "job_id", "attempt"} <= set(names)
    assert undocumented(names) == []


def test_all_of_a_connector_and_a_resource_is_in_the_manual() -> None:
    names = [*public(Connector), *Resource.__struct_fields__, *StepResult.__struct_fields__]

    assert {"config_type", "options", "status"} <= set(names)
    # What a subclass must define stands in the example, which is run.
    assert set(undocumented(names)) <= {"open", "aclose"}
    assert all(f"def {name}(" in TEXT for name in ("open", "aclose"))


@pytest.mark.parametrize("name", aetherflow.__all__)
def test_every_public_name_is_there_and_documented_in_its_docstring(name: str) -> None:
    found = getattr(aetherflow, name)

    assert found if name == "__version__" else found.__doc__


def test_a_name_that_is_not_public_is_reported() -> None:
    with pytest.raises(AttributeError, match="module 'aetherflow' has no attribute 'nothing'"):
        _ = aetherflow.nothing


def test_the_list_of_names_is_sorted_and_complete() -> None:
    assert list(aetherflow.__all__) == sorted(aetherflow.__all__, key=lambda name: (not name.isupper(), name))
    assert set(aetherflow._HOMES) == set(aetherflow.__all__) - {"__version__"}


def test_the_old_names_are_in_the_manual() -> None:
    assert undocumented(["register_step", "register_connector", "RunContext", "RemoteFileMeta"]) == []
    assert len(api.__all__) > 15


@pytest.mark.parametrize("loaded", ["aetherflow.plugins", "aetherflow.core", "importlib.metadata"])
def test_a_flow_of_shipped_types_pays_nothing_for_plugins(tmp_path: Path, loaded: str) -> None:
    flow = tmp_path / "flow.yaml"
    flow.write_text(
        "version: 1\nflow: {id: f}\njobs:\n  - id: a\n    steps:\n"
        "      - {id: s, type: check_items, inputs: {items: [x]}}\n"
    )
    script = (
        "import sys\nfrom pathlib import Path\nfrom aetherflow.runs.load_flow import load_checked_flow\n"
        f"checked = load_checked_flow(Path({str(flow)!r}), {{'HOME': {str(tmp_path)!r}}})\n"
        f"assert checked.errors == []\nassert {loaded!r} not in sys.modules\n"
    )

    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr
