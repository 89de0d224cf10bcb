"""Two or three command lines for the help of each command. Imported only for help; a test parses them all."""

from __future__ import annotations

from collections.abc import Mapping

EXAMPLES: Mapping[str, tuple[str, ...]] = {
    "": (
        "aetherflow init first && aetherflow run first/flow.yaml",
        "aetherflow validate flow.yaml",
        "aetherflow help tutorial",
    ),
    "run": (
        "aetherflow run flow.yaml --param day=2026-01-31",
        "aetherflow run flow.yaml --run-id nightly-2026-01-31   # again: resumes it",
        "aetherflow run flow.yaml --dry-run",
    ),
    "validate": (
        "aetherflow validate flow.yaml",
        "aetherflow validate scheduler.yaml   # and the flows of its items",
        "aetherflow validate flow.yaml --json",
    ),
    "migrate": (
        "aetherflow migrate old_flow.yaml",
        "aetherflow migrate old_flow.yaml --write new_flow.yaml",
    ),
    "doctor": (
        "aetherflow doctor   # settings, state, clock, packages",
        "aetherflow doctor flow.yaml --connect",
        "aetherflow doctor flow.yaml --executor dask",
    ),
    "notify": (
        "aetherflow notify test flow.yaml",
        "aetherflow notify test scheduler.yaml --event late",
    ),
    "notify test": (
        "aetherflow notify test flow.yaml",
        "aetherflow notify test scheduler.yaml --event late",
    ),
    "explain": (
        "aetherflow explain flow.yaml   # where each field of each resource comes from",
        "aetherflow explain nightly-2026-01-31   # what the run and its jobs did, and why",
        "aetherflow explain nightly-2026-01 load.copy",
    ),
    "serve": (
        "aetherflow serve scheduler.yaml",
        "aetherflow serve day.yaml night.yaml --state state.sqlite",
        "aetherflow serve scheduler.yaml --log-format json --metrics 9464",
    ),
    "worker": (
        "aetherflow worker tcp://127.0.0.1:8786",
        "aetherflow worker tls://engine:8786 --tls-ca ca.pem --tls-cert worker.pem --tls-key worker.key",
        "aetherflow worker tls://engine:8786 --name big1 --threads 4 --label big --resource SFTP=2",
    ),
    "logs": (
        "aetherflow logs nightly-2026-01-31 --job load --failed --tail 20",
        "aetherflow logs --follow   # the newest run, until it ends",
        "aetherflow logs nightly-2026-01-31 --json   # the paths of the log files",
    ),
    "events": (
        "aetherflow events   # of the newest run",
        "aetherflow events nightly-2026-01-31 --follow",
        "aetherflow events nightly-2026-01-31 --from 120 | jq -r .message",
    ),
    "schema": (
        "aetherflow schema > flow.schema.json",
        "aetherflow schema --kind scheduler",
        "aetherflow schema --kind events > events.schema.json",
    ),
    "graph": (
        "aetherflow graph flow.yaml",
        "aetherflow graph flow.yaml --format dot | dot -Tsvg > flow.svg",
    ),
    "explain-code": (
        "aetherflow explain-code AF111",
        "aetherflow explain-code --list",
    ),
    "help": (
        "aetherflow help tutorial",
        "aetherflow help external.process",
        "aetherflow help --search 'exit code'",
    ),
    "steps": (
        "aetherflow steps list",
        "aetherflow steps show external.process",
    ),
    "steps list": (
        "aetherflow steps list",
        "aetherflow steps list --json",
    ),
    "steps show": (
        "aetherflow steps show external.process",
        "aetherflow steps show check_items --json",
    ),
    "connectors": (
        "aetherflow connectors list",
        "aetherflow connectors show db:sqlite3",
    ),
    "connectors list": (
        "aetherflow connectors list",
        "aetherflow connectors list --json",
    ),
    "connectors show": (
        "aetherflow connectors show db:sqlite3",
        "aetherflow connectors show db:sqlalchemy --json",
    ),
    "bundle": (
        "aetherflow bundle sync --bundle-manifest bundle.yaml",
        "aetherflow bundle status --bundle-manifest bundle.yaml",
    ),
    "bundle sync": (
        "aetherflow bundle sync --bundle-manifest bundle.yaml",
        "aetherflow bundle sync --bundle-manifest bundle.yaml --json",
    ),
    "bundle status": (
        "aetherflow bundle status --bundle-manifest bundle.yaml",
        "aetherflow bundle status --bundle-manifest bundle.yaml --json",
    ),
    "runs": (
        "aetherflow runs list --status FAILED",
        "aetherflow runs show nightly-2026-01-31",
        "aetherflow runs retry   # the last run that did not succeed",
    ),
    "runs list": (
        "aetherflow runs list --status FAILED --since yesterday",
        "aetherflow runs list --flow nightly --item nightly --param region=eu --limit 5",
        "aetherflow runs list --flow-yaml flow.yaml   # if the flow has its own state.path",
    ),
    "runs diff": (
        "aetherflow runs diff nightly-2026-01-30 nightly-2026-01-31",
        "aetherflow runs diff nightly-2026-01-30 nightly-2026-01-31 --json",
    ),
    "runs show": (
        "aetherflow runs show   # the newest run",
        "aetherflow runs show nightly-2026-01 --all   # the beginning of the id is enough",
        "aetherflow runs show nightly-2026-01-31 --json",
    ),
    "runs export": (
        "aetherflow runs export --html   # the newest run, to RUN.html",
        "aetherflow runs export nightly-2026-01-31 --html night.html",
        "aetherflow runs export nightly-2026-01-31 --jsonl - | jq -r .message",
    ),
    "runs cancel": (
        "aetherflow runs cancel nightly-2026-01-31",
        "aetherflow runs cancel nightly-2026-01-31 --wait",
    ),
    "runs retry": (
        "aetherflow runs retry   # the last run that did not succeed",
        "aetherflow runs retry nightly-2026-01-31 --from load.copy",
        "aetherflow runs retry nightly-2026-01-31 --only report --with-downstream",
    ),
    "runs prune": (
        "aetherflow runs prune --keep-days 90 --dry-run",
        "aetherflow runs prune --keep-days 90 --keep-runs 10",
    ),
    "locks": (
        "aetherflow locks list",
        "aetherflow locks release warehouse",
    ),
    "locks list": (
        "aetherflow locks list",
        "aetherflow locks list --flow-yaml flow.yaml",
    ),
    "locks release": (
        "aetherflow locks release warehouse",
        "aetherflow locks release warehouse --force",
    ),
    "state": (
        "aetherflow state list",
        "aetherflow state set load.orders 2026-01-31T00:00:00 --flow nightly",
    ),
    "state list": (
        "aetherflow state list",
        "aetherflow state list --flow nightly --json",
    ),
    "state show": (
        "aetherflow state show load.orders",
        "aetherflow state show load.orders --flow nightly --json",
    ),
    "state set": (
        "aetherflow state set load.orders 2026-01-31T00:00:00 --flow nightly",
        "aetherflow state set load.orders 1200 --type int --flow nightly",
    ),
    "state delete": (
        "aetherflow state delete load.orders --flow nightly",
        "aetherflow state delete load.orders --flow nightly --force",
    ),
    "pools": (
        "aetherflow pools set warehouse 2",
        "aetherflow pools list",
    ),
    "pools list": (
        "aetherflow pools list",
        "aetherflow pools list --flow-yaml flow.yaml --json",
    ),
    "pools set": (
        "aetherflow pools set warehouse 2",
        "aetherflow pools set warehouse 4 --flow-yaml flow.yaml",
    ),
    "pools remove": (
        "aetherflow pools remove warehouse",
        "aetherflow pools remove warehouse --flow-yaml flow.yaml",
    ),
    "init": (
        "aetherflow init first",
        "aetherflow init plugin acme-files",
        "aetherflow init systemd scheduler.yaml > aetherflow.service",
    ),
    "init project": (
        "aetherflow init project",
        "aetherflow init project first --force",
    ),
    "init plugin": (
        "aetherflow init plugin acme-files",
        "aetherflow init plugin acme-files --force",
    ),
    "init monitoring": (
        "aetherflow init monitoring",
        "aetherflow init monitoring --print rules > /etc/prometheus/aetherflow.rules.yml",
    ),
    "init systemd": (
        "aetherflow init systemd scheduler.yaml",
        "aetherflow init systemd day.yaml night.yaml > aetherflow.service",
    ),
    "scheduler": (
        "aetherflow scheduler next scheduler.yaml",
        "aetherflow scheduler fire nightly --file scheduler.yaml --here",
        "aetherflow scheduler status",
    ),
    "scheduler run": (
        "aetherflow scheduler run scheduler.yaml",
        "aetherflow scheduler run scheduler.yaml --log-format json",
    ),
    "scheduler next": (
        "aetherflow scheduler next scheduler.yaml",
        "aetherflow scheduler next scheduler.yaml --count 3 --json",
    ),
    "scheduler simulate": (
        "aetherflow scheduler simulate scheduler.yaml --from 2026-03-28 --to 2026-03-30",
        "aetherflow scheduler simulate scheduler.yaml --from 2026-01-01T00:00 --to 2026-01-01T06:00",
        "aetherflow scheduler simulate scheduler.yaml --item nightly --from 2026-01-01 --to 2027-01-01",
    ),
    "scheduler status": (
        "aetherflow scheduler status",
        "aetherflow scheduler status scheduler.yaml --json",
    ),
    "scheduler history": (
        "aetherflow scheduler history nightly --since 7d",
        "aetherflow scheduler history --since yesterday --outcome FAILED --outcome MISSED",
        "aetherflow scheduler history nightly --file scheduler.yaml --json",
    ),
    "scheduler explain": (
        "aetherflow scheduler explain nightly yesterday",
        "aetherflow scheduler explain nightly 2026-03-29T02:30 --file scheduler.yaml",
    ),
    "scheduler fire": (
        "aetherflow scheduler fire nightly",
        "aetherflow scheduler fire nightly --at 2026-03-02T02:30 --param note=again",
        "aetherflow scheduler fire nightly --file scheduler.yaml --here",
    ),
    "scheduler pause": (
        "aetherflow scheduler pause nightly --for 2h --reason 'migration of the warehouse'",
        "aetherflow scheduler pause --all --until 06:00 --reason maintenance --file scheduler.yaml",
    ),
    "scheduler resume": (
        "aetherflow scheduler resume nightly",
        "aetherflow scheduler resume --all --file scheduler.yaml",
    ),
    "scheduler backfill": (
        "aetherflow scheduler backfill nightly --from 2026-01-01 --to 2026-02-01 --dry-run",
        "aetherflow scheduler backfill nightly --from 2026-01-01 --to 2026-02-01 --only all --parallel 4",
    ),
    "scheduler backfills": (
        "aetherflow scheduler backfills",
        "aetherflow scheduler backfills --json",
    ),
    "scheduler cancel": (
        "aetherflow scheduler cancel b3f2a9c01d7e",
        "aetherflow scheduler cancel b3f2a9c01d7e --json",
    ),
}
"""By the words of the command or group; empty: of `aetherflow` itself."""
