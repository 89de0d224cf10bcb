"""Build the notices for a person when a run starts or is resumed: plugins, bundles, a resume."""

from __future__ import annotations

from collections.abc import Mapping

from aetherflow.engine.resume import ResumeDecision, ResumeKind, ResumePlan
from aetherflow.events import run_events as e
from aetherflow.events.bundle_use import BundleUse
from aetherflow.events.event_factory import EventFactory
from aetherflow.events.stale_readers import options_to_run, stale_text
from aetherflow.runs.load_flow import CheckedFlow

LIST_AT_MOST = 20
"""How many kept or repeated steps a notice names before it only counts them."""


_WARNINGS: tuple[tuple[ResumeKind, str, str], ...] = (
    ("stale", "AF868", ""),
    ("end_interrupted", "AF633", "does not run again: {}"),
    ("exclude", "AF634", "not run now: {}"),
    ("changed", "AF630", ""),
    ("never_run", "AF635", "not run, its job had already ended: {}; {option} {first} runs it"),
    ("remove", "AF636", "no longer in the flow: {}"),
    ("upgraded", "AF632", "kept although the version of its step type has changed: {}"),
)
"""What a person is warned of, by the kind of the decision."""


def resume_notices(plan: ResumePlan, option: str, events: EventFactory) -> list[e.Notice]:
    """Report which steps a resume keeps, which run again, and what the changed flow means for the others."""
    notices = []
    if kept := plan.texts("keep"):
        notices.append(events.notice("info", f"kept: {_listed(kept)}"))
    if goes_on := plan.texts("reattach"):
        notices.append(events.notice("info", f"continues, as workers still have it: {_listed(goes_on)}"))
    again = plan.texts("rerun")
    listed = _listed(again) if again else "no step"
    notices.append(events.notice("info", f"runs again: {listed}"))
    for kind, code, text in _WARNINGS:
        found = plan.of_kind(kind)
        if kind == "changed":
            messages = [_changed(decision, option) for decision in found[:LIST_AT_MOST]]
        elif kind == "stale":
            messages = [_stale(plan.stale, option)] if found else []
        elif found:
            listed = _listed([str(decision) for decision in found])
            messages = [text.format(listed, option=option, first=found[0].name)]
        else:
            continue
        notices += [events.notice("warning", message, code) for message in messages]
    return notices


def _stale(stale: Mapping[str, list[str]], option: str) -> str:
    """Return the warning about results that stay although what they had read runs again, or has."""
    again = options_to_run(stale, option)
    return f"stale: {stale_text(stale)}; these results stay as they were, {again} makes them again"


def _changed(decision: ResumeDecision, option: str) -> str:
    """Return the warning about something that is kept although the flow now defines it otherwise."""
    name = decision.name
    if decision.step:
        return f"{name} is kept although the flow now defines it otherwise; {option} {name} runs it again"
    return (
        f"the {decision.reason} of {name} has changed, its earlier result is kept; "
        f"{option} {name} evaluates it again"
    )


def plugin_notices(checked: CheckedFlow, events: EventFactory) -> list[e.Notice]:
    """Say which plugins could not be loaded: the run does without them."""
    return [
        events.notice("warning", f"{d.file}:{d.line}: {d.message}", d.code)
        for d in checked.registry.diagnostics
    ]


def bundle_notices(bundle: BundleUse | None, last: BundleUse | None, events: EventFactory) -> list[e.Notice]:
    """Report that the bundle may be stale, or that it or its content differs from the last time."""
    notices = []
    if bundle and bundle.stale:
        message = stale_sentence(bundle.id, bundle.fingerprint, bundle.stale)
        notices.append(events.notice("warning", message, "AF866"))
    was, now = _bundle_name(last), _bundle_name(bundle)
    if was != now:
        message = f"the run had its flow from {was}, and now has it from {now}"
        notices.append(events.notice("warning", message, "AF867"))
    return notices


def stale_sentence(bundle_id: str, fingerprint: str, reason: str) -> str:
    """Return the sentence about a bundle that is used although it could not be synced."""
    return f"the bundle {bundle_id!r} may be stale, {fingerprint[:12]} is used: {reason}"


def _bundle_name(bundle: BundleUse | None) -> str:
    return f"the bundle {bundle.id} {bundle.fingerprint[:12]}" if bundle else "no bundle"


def _listed(names: list[str]) -> str:
    shown = ", ".join(names[:LIST_AT_MOST])
    more = len(names) - LIST_AT_MOST
    return f"{shown} and {more} more" if more > 0 else shown
