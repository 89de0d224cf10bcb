"""The metrics for Prometheus: names, labels and meanings, from which the manual and the tests take theirs.

Names follow https://prometheus.io/docs/practices/naming/: base units, `_total` for counters. No label has the
id of a run, a job or a step, as flows may have thousands of jobs. Imports nothing of AetherFlow.
"""

from __future__ import annotations

from typing import Literal

import msgspec

Kind = Literal["counter", "gauge", "histogram"]
Where = Literal["runs", "schedule", "server"]
"""What a metric is about. The metrics file of one-shot runs has those about `runs` only."""

STEP_BUCKETS = (0.01, 0.05, 0.1, 0.5, 1, 5, 15, 60, 300, 900, 1800, 3600, 7200, 21600)
RUN_BUCKETS = (1, 5, 15, 60, 300, 900, 1800, 3600, 7200, 14400, 21600, 43200, 86400)
DELAY_BUCKETS = (0.5, 1, 5, 15, 60, 300, 900, 3600, 21600)
LAG_BUCKETS = (0.001, 0.005, 0.02, 0.1, 0.5, 2, 10)


class Metric(msgspec.Struct, frozen=True):
    """A metric.

    Attributes:
        name: as it is exposed; a histogram has `_bucket`, `_sum` and `_count` of it.
        help: its meaning in one sentence.
        buckets: the upper bounds of a histogram, without the last one, which is infinite.
    """

    name: str
    kind: Kind
    help: str
    labels: tuple[str, ...] = ()
    where: Where = "runs"
    buckets: tuple[float, ...] = ()


RUNS = Metric(
    "aetherflow_runs_total",
    "counter",
    "Executions of runs that ended, by status; a run that is resumed counts again. INTERRUPTED: the process "
    "died (in the metrics file only).",
    ("flow", "status"),
)
RUNS_STARTED = Metric(
    "aetherflow_runs_started_total", "counter", "Executions of runs that began, resumed ones too.", ("flow",)
)
RUNS_RESUMED = Metric(
    "aetherflow_runs_resumed_total",
    "counter",
    "Runs that were resumed, by a person or by a server.",
    ("flow", "by"),
)
RUN_DURATION = Metric(
    "aetherflow_run_duration_seconds",
    "histogram",
    "How long executions of runs took.",
    ("flow",),
    buckets=RUN_BUCKETS,
)
JOBS = Metric("aetherflow_jobs_total", "counter", "Jobs that ended, by status.", ("flow", "status"))
STEPS = Metric("aetherflow_steps_total", "counter", "Steps that ended, by status.", ("flow", "status"))
STEP_DURATION = Metric(
    "aetherflow_step_duration_seconds",
    "histogram",
    "How long the last attempts of steps took that ran.",
    ("step_type", "status"),
    buckets=STEP_BUCKETS,
)
STEP_RETRIES = Metric(
    "aetherflow_step_retries_total",
    "counter",
    "Attempts of steps that failed and were followed by another one.",
    ("flow", "step_type"),
)
LAST_RUN = Metric(
    "aetherflow_flow_last_run_timestamp_seconds", "gauge", "When the last run of the flow ended.", ("flow",)
)
LAST_SUCCESS = Metric(
    "aetherflow_flow_last_success_timestamp_seconds",
    "gauge",
    "When the last run of the flow ended that succeeded.",
    ("flow",),
)
LAST_RUN_OK = Metric(
    "aetherflow_flow_last_run_successful",
    "gauge",
    "Whether the last run of the flow that ended succeeded (1) or not (0).",
    ("flow",),
)
LABEL_OVERFLOW = Metric(
    "aetherflow_metrics_label_overflow_total",
    "counter",
    "Updates that went to the label value _other, since the label had too many values.",
    ("label",),
)

SCHEDULE_DELAY = Metric(
    "aetherflow_schedule_delay_seconds",
    "histogram",
    "How long after its time (with jitter) the run of a tick began; without catch-up and backfills.",
    ("scheduler",),
    "schedule",
    DELAY_BUCKETS,
)
FIRINGS = Metric(
    "aetherflow_firings_total",
    "counter",
    "Ticks and firings by hand, by what became of them. PAUSED: a pause or a window kept them from running.",
    ("scheduler", "item", "outcome"),
    "schedule",
)
FIRINGS_LATE = Metric(
    "aetherflow_firings_late_total",
    "counter",
    "Alerts about ticks that are late or missed (items with a deadline or on_late).",
    ("scheduler", "item", "alert"),
    "schedule",
)
ITEM_LAST_SUCCESS = Metric(
    "aetherflow_item_last_success_timestamp_seconds",
    "gauge",
    "When the last run of the item ended that succeeded.",
    ("scheduler", "item"),
    "schedule",
)
ITEM_NEXT = Metric(
    "aetherflow_item_next_firing_timestamp_seconds",
    "gauge",
    "The next scheduled time of the item; missing if there is none.",
    ("scheduler", "item"),
    "schedule",
)
ITEM_PAUSED = Metric(
    "aetherflow_item_paused",
    "gauge",
    "Whether the item, or its whole file, is paused.",
    ("scheduler", "item"),
    "schedule",
)
ITEMS = Metric(
    "aetherflow_schedule_items", "gauge", "Items of the scheduler file in force.", ("scheduler",), "schedule"
)
ITEMS_BROKEN = Metric(
    "aetherflow_schedule_items_broken",
    "gauge",
    "Items that cannot run: their flow, manifest or params are missing or wrong.",
    ("scheduler",),
    "schedule",
)
RELOAD_OK = Metric(
    "aetherflow_schedule_last_reload_successful",
    "gauge",
    "Whether the scheduler file, as it was read last, is in force (1), or is wrong (0).",
    ("scheduler",),
    "schedule",
)
RELOAD_TIME = Metric(
    "aetherflow_schedule_last_reload_success_timestamp_seconds",
    "gauge",
    "When the scheduler file was loaded that is in force.",
    ("scheduler",),
    "schedule",
)

BUILD_INFO = Metric(
    "aetherflow_build_info", "gauge", "1; the labels say which versions run.", ("version", "python"), "server"
)
DECIDES = Metric(
    "aetherflow_server_decides",
    "gauge",
    "Whether the server fires items (1), or is on standby, as its clock is off, or stops (0).",
    where="server",
)
STOPPING = Metric(
    "aetherflow_server_stopping", "gauge", "Whether the server was asked to stop.", where="server"
)
RUNS_RUNNING = Metric(
    "aetherflow_runs_running", "gauge", "Runs that the server executes now.", where="server"
)
RUNS_QUEUED = Metric(
    "aetherflow_runs_queued", "gauge", "Runs that wait for a slot of the server.", where="server"
)
RUN_SLOTS = Metric(
    "aetherflow_run_slots", "gauge", "How many runs the server executes at a time.", where="server"
)
POOL_SLOTS = Metric("aetherflow_pool_slots", "gauge", "The slots that the pool has.", ("pool",), "server")
POOL_USED = Metric(
    "aetherflow_pool_slots_used", "gauge", "The slots of the pool that are taken.", ("pool",), "server"
)
POOL_WAITING = Metric(
    "aetherflow_pool_steps_waiting", "gauge", "Steps that wait for slots of the pool.", ("pool",), "server"
)
POOL_WAIT = Metric(
    "aetherflow_pool_longest_wait_seconds",
    "gauge",
    "How long the first step in the queue of the pool has waited; 0 without one.",
    ("pool",),
    "server",
)
DB_UP = Metric(
    "aetherflow_state_db_up",
    "gauge",
    "Whether the state database could be read for these metrics; without it those from it are missing.",
    where="server",
)
DB_BYTES = Metric("aetherflow_state_db_bytes", "gauge", "The size of the state database.", where="server")
DB_WAL_BYTES = Metric(
    "aetherflow_state_db_wal_bytes", "gauge", "The size of its write-ahead log.", where="server"
)
DB_FREE_BYTES = Metric(
    "aetherflow_state_disk_free_bytes",
    "gauge",
    "How much is free on the file system of the state database.",
    where="server",
)
OBSERVER_LOST = Metric(
    "aetherflow_observer_lost_events_total",
    "counter",
    "Events that an observer lost, as it, or its reader, was too slow.",
    ("observer",),
    "server",
)
LOOP_LAG = Metric(
    "aetherflow_event_loop_lag_seconds",
    "histogram",
    "How much later than asked for the event loop woke up, sampled every second.",
    where="server",
    buckets=LAG_BUCKETS,
)

METRICS = (
    *(RUNS, RUNS_STARTED, RUNS_RESUMED, RUN_DURATION, LAST_RUN, LAST_SUCCESS, LAST_RUN_OK),
    *(JOBS, STEPS, STEP_DURATION, STEP_RETRIES, LABEL_OVERFLOW),
    *(SCHEDULE_DELAY, FIRINGS, FIRINGS_LATE, ITEM_LAST_SUCCESS, ITEM_NEXT, ITEM_PAUSED),
    *(ITEMS, ITEMS_BROKEN, RELOAD_OK, RELOAD_TIME),
    *(BUILD_INFO, DECIDES, STOPPING, RUNS_RUNNING, RUNS_QUEUED, RUN_SLOTS),
    *(POOL_SLOTS, POOL_USED, POOL_WAITING, POOL_WAIT),
    *(DB_UP, DB_BYTES, DB_WAL_BYTES, DB_FREE_BYTES, OBSERVER_LOST, LOOP_LAG),
)
"""All of them, in the order of the manual; the server adds those of its process (`aetherflow_process_*`)."""
