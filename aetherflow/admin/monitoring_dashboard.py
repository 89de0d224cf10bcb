"""Build the dashboard for Grafana, for `aetherflow init monitoring`: rows of panels, each a few queries.

The model is https://grafana.com/docs/grafana/latest/dashboards/build-dashboards/view-dashboard-json-model/.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Literal

import msgspec

Unit = Literal["short", "s", "bytes", "percentunit", "dateTimeFromNow", "none"]
Kind = Literal["stat", "timeseries", "table"]

COLUMNS = 24
_HEIGHTS: dict[Kind, int] = {"stat": 4, "timeseries": 8, "table": 8}
_DATA_SOURCE = {"type": "prometheus", "uid": "${datasource}"}
_FLOW = 'flow=~"$flow"'
_WINDOW = "$__rate_interval"


class Panel(msgspec.Struct, frozen=True):
    """A panel of a row.

    Attributes:
        queries: PromQL, each with the legend of its series.
        width: in columns, of 24.
        bad: the value from which on a stat is red; None: none is.
        meaning: what it shows, for the person who looks at it.
    """

    title: str
    kind: Kind
    queries: Sequence[tuple[str, str]]
    unit: Unit = "short"
    width: int = 8
    bad: float | None = None
    meaning: str = ""


_LAST_RUN = "aetherflow_flow_last_run_timestamp_seconds"
_FAILED = (
    f"aetherflow_flow_last_run_successful{{{_FLOW}}} == 0 "
    f"and {_LAST_RUN} == on (flow) group_left () max by (flow) ({_LAST_RUN})"
)
"""Of several servers the one counts that ran the flow last."""


def _quantile(quantile: float, metric: str, by: str, selector: str = "") -> str:
    rate = f"rate({metric}_bucket{selector}[{_WINDOW}])"
    return f"histogram_quantile({quantile}, sum by (le, {by}) ({rate}))"


ROWS: Sequence[tuple[str, Sequence[Panel]]] = (
    (
        "Overview",
        (
            Panel(
                "Flows that failed",
                "stat",
                [(f"count({_FAILED}) or vector(0)", "")],
                width=4,
                bad=1,
                meaning="Flows whose last run did not succeed.",
            ),
            Panel(
                "Ticks missed (24 h)",
                "stat",
                [('sum(increase(aetherflow_firings_total{outcome="MISSED"}[24h])) or vector(0)', "")],
                width=4,
                bad=1,
            ),
            Panel(
                "Ticks late (24 h)",
                "stat",
                [("sum(increase(aetherflow_firings_late_total[24h])) or vector(0)", "")],
                width=4,
                bad=1,
            ),
            Panel("Runs now", "stat", [("sum(aetherflow_runs_running)", "")], width=4),
            Panel("Runs that wait", "stat", [("sum(aetherflow_runs_queued)", "")], width=4, bad=10),
            Panel(
                "Servers that do not fire",
                "stat",
                [("count(aetherflow_server_decides == 0) or vector(0)", "")],
                width=4,
                bad=1,
                meaning="On standby, as their clock is off, or stopping.",
            ),
        ),
    ),
    (
        "Flows",
        (
            Panel(
                "Runs by status",
                "timeseries",
                [
                    (
                        f"sum by (status) (increase(aetherflow_runs_total{{{_FLOW}}}[{_WINDOW}]))",
                        "{{status}}",
                    )
                ],
            ),
            Panel(
                "Since the last success",
                "table",
                [
                    (
                        (
                            "sort_desc(time() - max by (flow) "
                            f"(aetherflow_flow_last_success_timestamp_seconds{{{_FLOW}}}))"
                        ),
                        "{{flow}}",
                    )
                ],
                unit="s",
            ),
            Panel(
                "Last run",
                "table",
                [(f"min by (flow) (aetherflow_flow_last_run_successful{{{_FLOW}}})", "{{flow}}")],
                unit="none",
                meaning="1: it succeeded, 0: it did not.",
            ),
            Panel(
                "Duration of runs, 95th percentile",
                "timeseries",
                [(_quantile(0.95, "aetherflow_run_duration_seconds", "flow", f"{{{_FLOW}}}"), "{{flow}}")],
                unit="s",
            ),
            Panel(
                "Duration of steps, 95th percentile",
                "timeseries",
                [(_quantile(0.95, "aetherflow_step_duration_seconds", "step_type"), "{{step_type}}")],
                unit="s",
            ),
            Panel(
                "Retries of steps",
                "timeseries",
                [
                    (
                        (
                            f"sum by (flow, step_type) "
                            f"(increase(aetherflow_step_retries_total{{{_FLOW}}}[{_WINDOW}]))"
                        ),
                        "{{flow}} {{step_type}}",
                    )
                ],
            ),
            Panel(
                "Steps by status",
                "timeseries",
                [
                    (
                        f"sum by (status) (increase(aetherflow_steps_total{{{_FLOW}}}[{_WINDOW}]))",
                        "{{status}}",
                    )
                ],
                width=12,
            ),
            Panel(
                "Jobs by status",
                "timeseries",
                [(f"sum by (status) (increase(aetherflow_jobs_total{{{_FLOW}}}[{_WINDOW}]))", "{{status}}")],
                width=12,
            ),
        ),
    ),
    (
        "Schedule",
        (
            Panel(
                "Delay of ticks, 90th percentile",
                "timeseries",
                [(_quantile(0.9, "aetherflow_schedule_delay_seconds", "scheduler"), "{{scheduler}}")],
                unit="s",
            ),
            Panel(
                "Ticks by outcome",
                "timeseries",
                [(f"sum by (outcome) (increase(aetherflow_firings_total[{_WINDOW}]))", "{{outcome}}")],
            ),
            Panel(
                "Late, by item",
                "timeseries",
                [
                    (
                        f"sum by (item, alert) (increase(aetherflow_firings_late_total[{_WINDOW}])) > 0",
                        "{{item}} {{alert}}",
                    )
                ],
            ),
            Panel(
                "Next firings",
                "table",
                [
                    (
                        (
                            "bottomk(20, min by (scheduler, item) "
                            "(aetherflow_item_next_firing_timestamp_seconds)) * 1000"
                        ),
                        "{{item}}",
                    )
                ],
                unit="dateTimeFromNow",
            ),
            Panel(
                "Items since their last success",
                "table",
                [
                    (
                        (
                            "topk(20, time() - max by (scheduler, item) "
                            "(aetherflow_item_last_success_timestamp_seconds))"
                        ),
                        "{{item}}",
                    )
                ],
                unit="s",
            ),
            Panel(
                "Items",
                "timeseries",
                [
                    ("sum by (scheduler) (aetherflow_schedule_items)", "{{scheduler}}"),
                    ("sum by (scheduler) (aetherflow_schedule_items_broken)", "{{scheduler}} cannot run"),
                    ("sum by (scheduler) (aetherflow_item_paused)", "{{scheduler}} paused"),
                ],
            ),
        ),
    ),
    (
        "Pools",
        (
            Panel(
                "Slots in use",
                "timeseries",
                [("max by (pool) (aetherflow_pool_slots_used / aetherflow_pool_slots)", "{{pool}}")],
                unit="percentunit",
            ),
            Panel(
                "Steps that wait",
                "timeseries",
                [("max by (pool) (aetherflow_pool_steps_waiting)", "{{pool}}")],
            ),
            Panel(
                "Longest wait",
                "timeseries",
                [("max by (pool) (aetherflow_pool_longest_wait_seconds)", "{{pool}}")],
                unit="s",
            ),
        ),
    ),
    (
        "Server",
        (
            Panel(
                "Runs",
                "timeseries",
                [
                    ("aetherflow_runs_running", "{{instance}} running"),
                    ("aetherflow_runs_queued", "{{instance}} waiting"),
                    ("aetherflow_run_slots", "{{instance}} slots"),
                ],
            ),
            Panel(
                "State database",
                "timeseries",
                [
                    ("aetherflow_state_db_bytes", "{{instance}} database"),
                    ("aetherflow_state_db_wal_bytes", "{{instance}} log"),
                    ("aetherflow_state_disk_free_bytes", "{{instance}} free on the disk"),
                ],
                unit="bytes",
            ),
            Panel(
                "Lag of the event loop, 99th percentile",
                "timeseries",
                [(_quantile(0.99, "aetherflow_event_loop_lag_seconds", "instance"), "{{instance}}")],
                unit="s",
            ),
            Panel(
                "CPU",
                "timeseries",
                [(f"rate(aetherflow_process_cpu_seconds_total[{_WINDOW}])", "{{instance}}")],
                unit="percentunit",
            ),
            Panel(
                "Memory",
                "timeseries",
                [("aetherflow_process_resident_memory_bytes", "{{instance}}")],
                unit="bytes",
            ),
            Panel(
                "Health",
                "timeseries",
                [
                    ("aetherflow_server_decides", "{{instance}} fires"),
                    ("aetherflow_server_stopping", "{{instance}} stops"),
                    ("aetherflow_state_db_up", "{{instance}} database answers"),
                    (
                        "min by (instance) (aetherflow_schedule_last_reload_successful)",
                        "{{instance}} files in force",
                    ),
                    (
                        f"increase(aetherflow_observer_lost_events_total[{_WINDOW}])",
                        "{{observer}} lost events",
                    ),
                ],
            ),
        ),
    ),
)


def dashboard_json() -> str:
    """Return the dashboard as JSON text."""
    return msgspec.json.format(msgspec.json.encode(_dashboard()), indent=2).decode() + "\n"


def _dashboard() -> dict[str, Any]:
    return {
        "title": "AetherFlow",
        "uid": "aetherflow",
        "tags": ["aetherflow"],
        "schemaVersion": 39,
        "version": 1,
        "editable": True,
        "refresh": "1m",
        "time": {"from": "now-24h", "to": "now"},
        "timezone": "browser",
        "graphTooltip": 1,
        "annotations": {"list": []},
        "links": [],
        "templating": {"list": [_data_source_variable(), _flow_variable()]},
        "panels": list(_panels()),
    }


def _data_source_variable() -> dict[str, Any]:
    return {
        "name": "datasource",
        "label": "Data source",
        "type": "datasource",
        "query": "prometheus",
        "hide": 0,
    }


def _flow_variable() -> dict[str, Any]:
    query = "label_values(aetherflow_runs_started_total, flow)"
    return {
        "name": "flow",
        "label": "Flow",
        "type": "query",
        "datasource": _DATA_SOURCE,
        "query": {"query": query, "refId": "flow"},
        "definition": query,
        "refresh": 2,
        "sort": 1,
        "multi": True,
        "includeAll": True,
        "allValue": ".*",
        "current": {"text": ["All"], "value": ["$__all"]},
        "hide": 0,
    }


def _panels() -> Iterator[dict[str, Any]]:
    """Yield the rows and their panels, each with its place: panels fill a line, then the next one."""
    number = y = 0
    for title, panels in ROWS:
        number += 1
        place = {"x": 0, "y": y, "w": COLUMNS, "h": 1}
        yield {
            "id": number,
            "type": "row",
            "title": title,
            "collapsed": False,
            "gridPos": place,
            "panels": [],
        }
        y += 1
        x = height = 0
        for panel in panels:
            if x + panel.width > COLUMNS:
                x, y, height = 0, y + height, 0
            number += 1
            height = max(height, _HEIGHTS[panel.kind])
            place = {"x": x, "y": y, "w": panel.width, "h": _HEIGHTS[panel.kind]}
            yield _panel(panel, number, place)
            x += panel.width
        y += height


def _panel(panel: Panel, number: int, place: dict[str, int]) -> dict[str, Any]:
    is_table = panel.kind == "table"
    steps: list[dict[str, Any]] = [{"color": "green", "value": None}]
    if panel.bad is not None:
        steps.append({"color": "red", "value": panel.bad})
    return {
        "id": number,
        "type": panel.kind,
        "title": panel.title,
        "description": panel.meaning,
        "datasource": _DATA_SOURCE,
        "gridPos": place,
        "fieldConfig": {
            "defaults": {
                "unit": panel.unit,
                "min": 0 if panel.kind == "timeseries" else None,
                "thresholds": {"mode": "absolute", "steps": steps},
            },
            "overrides": [],
        },
        "options": _OPTIONS[panel.kind],
        "transformations": _TABLE_TRANSFORMATIONS if is_table else [],
        "targets": [
            {
                "refId": chr(ord("A") + index),
                "datasource": _DATA_SOURCE,
                "editorMode": "code",
                "expr": query,
                "legendFormat": legend or "__auto",
                "instant": is_table,
                "range": not is_table,
                "format": "table" if is_table else "time_series",
            }
            for index, (query, legend) in enumerate(panel.queries)
        ],
    }


_OPTIONS: dict[Kind, dict[str, Any]] = {
    "stat": {"colorMode": "value", "graphMode": "none", "reduceOptions": {"calcs": ["lastNotNull"]}},
    "timeseries": {
        "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True},
        "tooltip": {"mode": "multi", "sort": "desc"},
    },
    "table": {"showHeader": True, "cellHeight": "sm"},
}
_TABLE_TRANSFORMATIONS = [{"id": "organize", "options": {"excludeByName": {"Time": True}}}]
