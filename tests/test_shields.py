"""Every scope that is shielded from cancellation has a deadline, or a reason why it needs none."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]

ENDS_BY_ITSELF = {
    "aetherflow/bundle/sync.py: _Sync._fetch_all": "one write to the local disk",
    "aetherflow/bundle/sync.py: _Sync._read": "closes one local file",
    "aetherflow/execution/bus.py: _Subscription.__init__": "Bus.aclose cancels it after FLUSH_SECONDS",
    "aetherflow/execution/executor.py: Executor.run": "it ends when its steps have (runs/forced_end.py)",
    "aetherflow/execution/worker_placement.py: WorkerPlacement._until_finished": "_stop gives the attempt up",
    "aetherflow/execution/worker_placement.py: WorkerPlacement.perform": "renames what it has begun to",
    "aetherflow/observe/time_order.py: TimeOrder.__init__": "its aclose, which the bus limits, cancels it",
    "aetherflow/execution/shared_executors.py: _Entry.__init__": "its last user closes it, then cancels it",
    "aetherflow/process/pipes.py: OutputPipe.__init__": "the process that reads it calls stop() or abandon()",
    "aetherflow/process/pipes.py: OutputPipe.resume": "as above; at the end of the run",
    "aetherflow/runs/bundle_sync.py: _source": "each connector has CLOSE_SECONDS to close",
    "aetherflow/process/run_remote.py: _Output.__init__": "settle() ends it when the program has ended",
    "aetherflow/runs/execute_run.py: _execute": "cancelled when the run has ended",
    "aetherflow/runs/run_services.py: run_services": "processes and connectors have a patience each",
    "aetherflow/runs/run_pool.py: RunPool.run": "drain ends the runs or gives those that are left to on_left",
    "aetherflow/worker/performed.py: PerformedStep._close": "processes and connectors have a patience each",
    "aetherflow/sdk/blocking.py: call_in_thread": "cancelled THREAD_STOP_SECONDS after its step",
    "aetherflow/store/database.py: Database._connect": "one call of SQLite: a thread cannot be interrupted",
    "aetherflow/store/database.py: Database._patiently": "one call of SQLite: its outcome must be known",
    "aetherflow/store/database.py: Database.aclose": "one call of SQLite: a thread cannot be interrupted",
    "aetherflow/store/journal.py: Journal.commit": "the entry before it is written with a deadline",
}
"""Shields without a deadline, by file and function, and what ends them."""


def shields_without_deadline(tree: ast.AST, where: str = "") -> Iterator[str]:
    """Yield the function of every cancel scope that is shielded and can last for ever."""
    for node in ast.iter_child_nodes(tree):
        inside = where
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            inside = f"{where}.{node.name}".removeprefix(".")
        if isinstance(node, ast.Call) and is_shielded(node) and not has_deadline(node):
            yield where
        if isinstance(node, ast.Assign) and any(
            isinstance(target, ast.Attribute) and target.attr == "shield" for target in node.targets
        ):
            yield where
        yield from shields_without_deadline(node, inside)


def is_shielded(call: ast.Call) -> bool:
    """Whether a call makes a scope that is, or may be, shielded."""
    return any(
        keyword.arg == "shield" and not (isinstance(keyword.value, ast.Constant) and not keyword.value.value)
        for keyword in call.keywords
    )


def has_deadline(call: ast.Call) -> bool:
    """Whether it says when the scope ends: by its first argument (`move_on_after`), or as `deadline`."""
    name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
    given = {keyword.arg: keyword.value for keyword in call.keywords}
    ends = (
        given.get("deadline")
        if name == "CancelScope"
        else (call.args[0] if call.args else given.get("delay"))
    )
    return ends is not None and not (isinstance(ends, ast.Constant) and ends.value is None)


def test_every_shield_ends() -> None:
    found: set[str] = set()
    for folder in ("aetherflow", "plugins"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            tree = ast.parse(path.read_text(encoding="utf-8"))
            found |= {f"{path.relative_to(ROOT)}: {where}" for where in shields_without_deadline(tree)}

    assert sorted(found - ENDS_BY_ITSELF.keys()) == [], "give it a deadline, or say here what ends it"
    assert sorted(ENDS_BY_ITSELF.keys() - found) == [], "it is gone, or has a deadline now"


def test_the_check_sees_every_way_to_shield_without_a_deadline() -> None:
    source = """
def bad(scope, maybe):
    CancelScope(shield=True)
    anyio.CancelScope(shield=maybe)
    move_on_after(None, shield=True)
    anyio.fail_after(delay=None, shield=True)
    scope.shield = True
class Good:
    def ends(self):
        CancelScope(shield=False)
        anyio.CancelScope(shield=True, deadline=at)
        move_on_after(SECONDS, shield=True)
        fail_after(delay=5, shield=True)
"""
    assert list(shields_without_deadline(ast.parse(source))) == ["bad"] * 5
