"""The files that are spoiled, of each kind, and the command that reads them."""

from __future__ import annotations

import msgspec

FLOWS = (
    """\
version: 1
flow:
  id: nightly
  description: All that a flow may say.
  workspace: {root: "/tmp/{{env.HOME}}", cleanup_policy: on_success, layout: {artifacts: out}}
  state: {path: state.sqlite, synchronous: full}
  locks: {scope: job, ttl_seconds: 60}
  params:
    day: {type: date, default: "2026-01-31", description: day}
    n: {type: int, default: 3, enum: [1, 2, 3]}
  max_parallel_jobs: 4
  fail_fast: false
  timeout_seconds: 3600
  retry: &retry {max_attempts: 2, backoff_seconds: 0.5, retry_on: [timeout, exit_code]}
  on_exit:
    - {id: bye, type: check_items, inputs: {items: "{{run.failed_jobs}}"}}
resources:
  db: {kind: db, driver: sqlite3, config: {path: "{{env.DB:x.sqlite}}"}, options: {}, decode: {}}
jobs:
  - id: list
    steps:
      - id: files
        type: external.process
        inputs:
          command: [sh, -c, "printf 'a b'"]
          log: {stdout: capture}
        outputs: {text: "{{result.stdout}}"}
  - id: load
    depends_on: [list]
    when: jobs.list.outputs.text != "" and not (params.n in [4, 5])
    for_each: ["a.csv", "b.csv"]
    max_parallel: 2
    retry: *retry
    steps:
      - id: query
        type: db_extract
        inputs: {resource: db, sql: "select 1", output: "{{item}}.tsv", params: {x: "{{item_index}}"}}
        timeout_seconds: 60
      - id: locked
        type: with_lock
        on_no_data: skip_job
        continue_on_error: true
        inputs:
          lock_key: "k {{params.day}}"
          step: {type: check_items, inputs: {items: "{{steps.query.rows}}", min_count: 1}}
  - id: after
    when: jobs.load.status == 'FAILED'
    steps:
      - id: say
        type: external.process
        on_interrupt: skip
        inputs: {command: echo, args: ["{{jobs.list.outputs.text}}"], success: {exit_codes: [0]}}
""",
    """\
version: 1
flow: {id: f}
jobs:
  - {id: a, steps: [{id: s, type: check_items, inputs: {items: [x]}}]}
""",
)
PROFILES = (
    """\
main:
  config: {path: "{{env.DB_PATH:x.sqlite}}", password: "{{env.PW:x}}"}
  options: {timeout_seconds: 5}
  decode: {config: {password: true}, config_paths: [password]}
other: {}
""",
)
USES_PROFILE = """\
version: 1
flow: {id: f}
resources: {r: {kind: db, driver: sqlite3, profile: main}}
jobs:
  - id: a
    steps: [{id: s, type: db_extract, inputs: {resource: r, sql: select 1, output: o.tsv}}]
"""
MANIFESTS = (
    """\
version: 1
mode: internal_fast
bundle:
  id: nightly
  source: {type: filesystem, base_path: share, strict_fingerprint: false}
  layout: {flows_dir: flows, profiles_file: profiles.yaml, plugins_dir: plugins}
  entry_flow: nightly.yaml
  fetch_policy: cache_check
resources:
  share: {kind: sftp, driver: asyncssh, config: {host: h}}
paths: {plugins: [plugins], allow: [/srv/data]}
zip_drivers: [zipfile]
env_files: [{type: dotenv, path: night.env, optional: true}]
""",
    "version: 1\nbundle: {id: b, source: {type: db, resource: r, list_sql: select 1, fetch_sql: select 2}}\n",
)
SCHEDULES = (
    """\
version: 1
id: night
timezone: Europe/Berlin
calendars:
  work: {weekdays: [mon-fri], exclude: ["2026-12-25"], working_day: last}
pools: {db: 2}
items:
  - id: every_5m
    cron: "*/5 * * * *"
    flow_yaml: flow.yaml
    flow_job: a
    params: {day: "2026-01-01"}
    misfire_grace_time: 300
    catch_up: latest
    calendar: work
    dst_gap: skip
  - {id: hourly, interval_seconds: 3600, flow_yaml: flow.yaml, after: [every_5m], overlap: queue}
  - {id: once, at: "2026-12-24T18:00", bundle_manifest: bundle.yaml, enabled: false, jitter_seconds: 10}
""",
)


class Kind(msgspec.Struct, frozen=True):
    """A kind of file: what is spoiled, its name, and the file that is read for it.

    Attributes:
        read: the spoiled file itself, or the flow that uses it.
    """

    seeds: tuple[str, ...]
    read: str = "spoiled.yaml"
    env: dict[str, str] = {}


SPOILED = "spoiled.yaml"
KINDS = {
    "flow": Kind(FLOWS),
    "profiles": Kind(PROFILES, "flow.yaml", {"AETHERFLOW_PROFILES_FILE": SPOILED}),
    "manifest": Kind(MANIFESTS),
    "scheduler": Kind(SCHEDULES),
}
