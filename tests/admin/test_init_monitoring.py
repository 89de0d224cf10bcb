"""The alerts and the dashboard name only metrics and labels that exist, and their programs accept them."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from aetherflow.admin.init_monitoring import NAMES, monitoring_text, write_monitoring
from aetherflow.errors import UsageError
from aetherflow.observe.metric_definitions import METRICS, Metric
from tests.cli.command_line import CommandLine

BY_NAME = {metric.name: metric for metric in METRICS}
OF_PROMETHEUS = {"instance", "job", "le"}
OF_PROCESS = "aetherflow_process_"
COMMAND = re.compile(r"\baetherflow ((?:runs|scheduler|pools|validate|events|init|help|serve)\b[^;\"\n`)]*)")


def expressions() -> list[str]:
    """Return every expression of the rules and the dashboard."""
    rules = yaml.safe_load(monitoring_text("rules"))
    found = [rule["expr"] for group in rules["groups"] for rule in group["rules"]]
    dashboard = json.loads(monitoring_text("dashboard"))
    found += [target["expr"] for panel in dashboard["panels"] for target in panel.get("targets", ())]
    return found + [one["definition"] for one in dashboard["templating"]["list"] if "definition" in one]


def metrics_in(expression: str) -> Iterator[tuple[str, Metric | None]]:
    """Yield the metrics that an expression names, without the suffix of a histogram."""
    for name in re.findall(r"\baetherflow_\w+", expression):
        whole = re.sub(r"_(bucket|count|sum)$", "", name)
        yield name, BY_NAME.get(name) or BY_NAME.get(whole)


def labels_in(expression: str) -> set[str]:
    """Return the labels that an expression selects by, or groups by."""
    selected = re.findall(r"[{,]\s*(\w+)\s*=", expression)
    grouped = re.findall(r"\b(?:by|on|group_left)\s*\(([^)]*)\)", expression)
    named = re.findall(r"label_values\(\w+, (\w+)\)", expression)
    return {*selected, *named, *(name for names in grouped for name in re.findall(r"\w+", names))}


def test_every_metric_that_is_named_exists_with_those_labels() -> None:
    assert len(expressions()) > 40
    for expression in expressions():
        found = list(metrics_in(expression))
        assert found or "up{" in expression, expression
        unknown = [name for name, metric in found if metric is None and not name.startswith(OF_PROCESS)]
        assert unknown == [], expression
        labels = {label for _, metric in found if metric is not None for label in metric.labels}
        assert labels_in(expression) <= labels | OF_PROMETHEUS, expression


def test_the_texts_of_alerts_use_labels_and_commands_that_exist() -> None:
    for group in yaml.safe_load(monitoring_text("rules"))["groups"]:
        for rule in group["rules"]:
            labels = {
                label for _, metric in metrics_in(rule["expr"]) if metric for label in metric.labels
            } | {"instance"}
            text = " ".join(rule["annotations"].values())
            assert set(re.findall(r"\$labels\.(\w+)", text)) <= labels, rule["alert"]
            aggregated = re.search(r"\bby \(([^)]*)\)", rule["expr"])
            if aggregated and "on (flow)" not in rule["expr"]:
                assert set(re.findall(r"\$labels\.(\w+)", text)) <= set(aggregated[1].split(", ")), rule


def test_every_panel_has_its_own_place_and_says_what_it_shows() -> None:
    dashboard = json.loads(monitoring_text("dashboard"))
    panels = dashboard["panels"]
    assert [panel["title"] for panel in panels if panel["type"] == "row"] == [
        "Overview",
        "Flows",
        "Schedule",
        "Pools",
        "Server",
    ]
    assert len({panel["id"] for panel in panels}) == len(panels)
    taken: set[tuple[int, int]] = set()
    for panel in panels:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, panel["title"]
        taken |= cells
        if panel["type"] != "row":
            assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
            assert len({target["refId"] for target in panel["targets"]}) == len(panel["targets"]) > 0
    assert [one["name"] for one in dashboard["templating"]["list"]] == ["datasource", "flow"]


def test_the_files_are_written_and_not_overwritten(tmp_path: Path) -> None:
    written = write_monitoring(tmp_path / "m", force=False)
    assert sorted(path.name for path in written) == sorted(NAMES.values())
    with pytest.raises(UsageError, match="are there already") as refused:
        write_monitoring(tmp_path / "m", force=False)
    assert "--force" in refused.value.hint
    (tmp_path / "m" / "README.md").write_text("mine")
    write_monitoring(tmp_path / "m", force=True)
    assert (tmp_path / "m" / "README.md").read_text() == monitoring_text("readme")


def test_the_command_writes_or_prints(cli: CommandLine) -> None:
    done = cli.run("init", "monitoring")
    assert done.code == 0
    assert "monitoring/aetherflow.rules.yml" in done.out
    assert cli.run("init", "monitoring").code == 2
    printed = cli.run("init", "monitoring", "--print", "rules")
    assert printed.out == (cli.folder / "monitoring" / "aetherflow.rules.yml").read_text()
    assert cli.run("init", "monitoring", "x", "--json").json()["files"] == [f"x/{n}" for n in NAMES.values()]
    for wrong in (["--print", "rulez"], ["--print", "rules", "--json"]):
        assert cli.run("init", "monitoring", *wrong).code == 2


@pytest.mark.skipif(shutil.which("promtool") is None, reason="it comes with Prometheus")
def test_prometheus_accepts_the_rules_and_its_own_test_of_them(tmp_path: Path) -> None:
    write_monitoring(tmp_path, force=False)
    shutil.copy(Path(__file__).with_name("alert_tests.yml"), tmp_path)
    for words in (["check", "config", "prometheus.yml"], ["test", "rules", "alert_tests.yml"]):
        done: Any = subprocess.run(
            ["promtool", *words], cwd=tmp_path, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
