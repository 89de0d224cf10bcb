"""AF82x: executors."""

from __future__ import annotations

from tests.diagnostics.case import Case, steps

ITEMS = "type: check_items, inputs: {items: [x]}"
LOCK = "type: with_lock, inputs: {lock_key: k, step: {type: check_items, inputs: {items: [x]}}}"

CASES: dict[str, Case] = {
    "AF821": Case(steps(f"{{id: s, executor: {{local: {{workers: 3}}}}, {ITEMS}}}")),
    "AF822": Case(steps(f"{{id: s, runs_on: gpu, {ITEMS}}}")),
    "AF823": Case(steps(f"{{id: s, executor: dask, {LOCK}}}")),
    "AF825": Case(steps(f'{{id: s, executor: {{dask: {{address: "tcp://10.0.0.7:8786"}}}}, {ITEMS}}}')),
    "AF829": Case(
        steps(f"{{id: s, executor: {{dask: {{workers: 3}}}}, {ITEMS}}}"),
        env={"AETHERFLOW_MODE": "enterprise"},
    ),
}
