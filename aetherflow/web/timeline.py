"""The jobs of a run below each other, each with its times: unfolded it shows its steps and instances."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime

from aetherflow.observe.event_text import duration
from aetherflow.observe.time_words import clock
from aetherflow.web.markup import NOTHING, Markup, joined, tag
from aetherflow.web.model import JobEntry, Span, StepEntry, Timeline
from aetherflow.web.status import css_class, in_order, mark, share_bar, tally
from aetherflow.web.time_scale import Gap, Scale, Tick, scale_of

NARROWEST = 0.35
"""The least width of a bar, in percent: also a step of a millisecond is seen."""
BUCKETS = 100
"""The pieces into which the activity of instances is divided."""


def timeline(shown: Timeline) -> Markup:
    """Return the jobs with their times."""
    scale = scale_of(shown.executions)
    rows = [_job(job, scale) for job in shown.jobs]
    hidden = tag("p", shown.hidden, class_="note") if shown.hidden else NOTHING
    return tag(
        "div", _defs(scale), _axis(scale), joined(rows), hidden, _legend(shown, scale), class_="timeline"
    )


def _sample(words: str, kind: str, **place: str) -> Markup:
    drawn = tag(
        "svg",
        tag("rect", class_=kind, width="22", rx="2", **place),
        width="22",
        height="14",
        aria_hidden="true",
    )
    return tag("span", drawn, " ", words)


def _legend(shown: Timeline, scale: Scale) -> Markup:
    """Return what the marks of this timeline mean; nothing if there are only attempts."""
    jobs = [*shown.jobs, *(one for job in shown.jobs for one in job.instances)]
    kinds = {span.kind for job in jobs for span in job.spans}
    samples = []
    if any(span.kind == "wait" for job in jobs for span in job.activity):
        samples.append(_sample("instances that wait", "fill s-pending", y="2", height="11"))
    if "wait" in kinds:
        samples.append(_sample("wait for a pool or a free place", "bar wait", y="2", height="11"))
    if "backoff" in kinds:
        samples.append(_sample("wait before the next attempt", "bar backoff", y="7", height="2"))
    if scale.gaps:
        samples.append(_sample("nothing executed the run (drawn short)", "gap-sample", y="0", height="14"))
    if not samples:
        return NOTHING
    attempt = _sample("attempt, in the colour of its status", "fill s-success", y="2", height="11")
    return tag("p", attempt, joined(samples), class_="legend")


def _defs(scale: Scale) -> Markup:
    """Return what every row refers to: the lines of the ticks, the gaps, the hatching of waits."""
    lines = [
        tag("line", x1=f"{tick.left:.3f}%", x2=f"{tick.left:.3f}%", y1="0", y2="100%") for tick in scale.ticks
    ]
    gaps = [
        tag("rect", x=f"{gap.left:.3f}%", width=f"{gap.width:.3f}%", height="100%", fill="url(#gap-hatch)")
        for gap in scale.gaps
    ]
    grid = tag("g", joined(lines), joined(gaps), id="grid", class_="grid")
    hatch = [
        tag(
            "pattern",
            tag("path", d="M-1,1l2,-2M0,6l6,-6M5,7l2,-2", class_=name),
            id=name,
            width="6",
            height="6",
            patternUnits="userSpaceOnUse",
        )
        for name in ("wait-hatch", "gap-hatch")
    ]
    return tag(
        "svg", tag("defs", joined(hatch), grid), class_="defs", width="0", height="0", aria_hidden="true"
    )


def _axis(scale: Scale) -> Markup:
    labels = [
        tag("text", _elapsed(tick), x=f"{tick.left:.3f}%", y="14", class_="tick", text_anchor=_anchor(tick))
        for tick in scale.ticks
    ]
    gaps = [_gap(gap) for gap in scale.gaps]
    drawing = tag("svg", joined(gaps), joined(labels), class_="track", role="img", aria_label=_spoken(scale))
    head = tag("span", "Job, step", class_="label")
    return tag("div", head, drawing, tag("span", "time", class_="took"), class_="row axis")


def _anchor(tick: Tick) -> str:
    return "start" if tick.left < 3 else "end" if tick.left > 97 else "middle"  # noqa: PLR2004 - percent


def _elapsed(tick: Tick) -> str:
    """Return the time since the beginning of an execution in few characters."""
    seconds = tick.seconds
    if not seconds:
        return "0"
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 60:  # noqa: PLR2004 - seconds
        return f"{seconds:g} s"
    return clock(seconds)


def _gap(gap: Gap) -> Markup:
    title = tag(
        "title", f"nothing ran for {duration(gap.seconds)}, then it was resumed (attempt {gap.attempt})"
    )
    text = tag("text", "⋯", x=f"{gap.left + gap.width / 2:.3f}%", y="14", text_anchor="middle", class_="tick")
    band = tag("rect", title, x=f"{gap.left:.3f}%", width=f"{gap.width:.3f}%", height="100%", class_="gap")
    return joined((band, text))


def _spoken(scale: Scale) -> str:
    gaps = [
        f"; {duration(gap.seconds)} without an execution, then attempt {gap.attempt}" for gap in scale.gaps
    ]
    return f"time from {scale.pieces[0].start:%Y-%m-%d %H:%M:%S} UTC on{''.join(gaps)}"


def _job(job: JobEntry, scale: Scale) -> Markup:
    label = [mark(job.status), " ", tag("span", job.id, class_="id")]
    if job.item:
        label += [" ", tag("span", job.item, class_="item")]
    if job.is_hook:
        label += [" ", tag("span", "hook", class_="chip")]
    if job.is_kept:
        label += [" ", tag("span", "kept", class_="chip", title="the last resume kept it")]
    if job.parts:
        label += [" ", tag("span", f"x {sum(job.parts.values()):,}", class_="chip", title="instances")]
    bars = _activity(job.activity, scale) if job.activity else _bars(job.spans, scale)
    row = _row("summary", label, bars, job.seconds, job.id)
    inside = [*_job_facts(job), *(_step(step, scale) for step in job.steps)]
    inside += [_job(instance, scale) for instance in job.instances]
    if job.hidden:
        inside.append(tag("p", job.hidden, class_="note"))
    return tag(
        "details",
        row,
        tag("div", joined(inside), class_="inside"),
        id=job.anchor,
        class_="job",
        open=job.is_open,
    )


def _job_facts(job: JobEntry) -> list[Markup]:
    shown = []
    if job.parts:
        shown.append(tag("p", share_bar(job.parts), tally(job.parts), class_="fan"))
    if job.reason:
        shown.append(tag("p", job.reason, class_="reason"))
    if job.error:
        shown.append(tag("pre", job.error, class_="error"))
    shown += [tag("p", note, class_="reason") for note in job.notes]
    if job.line:
        shown.append(tag("p", line_link(job.line), class_="reason"))
    if job.outputs:
        shown.append(_outputs(job.outputs))
    return shown


def _step(step: StepEntry, scale: Scale) -> Markup:
    label = [
        mark(step.status),
        " ",
        tag("span", step.id, class_="id"),
        " ",
        tag("span", step.type, class_="type"),
    ]
    if step.attempt > 1:
        label += [" ", tag("span", f"attempt {step.attempt}", class_="chip")]
    row = _row("summary", label, _bars(step.spans, scale), step.seconds, step.id)
    return tag("details", row, tag("div", joined(_step_facts(step)), class_="inside"), class_="step")


def _step_facts(step: StepEntry) -> Iterable[Markup]:
    if step.reason:
        yield tag("p", step.reason, class_="reason")
    if step.error:
        yield tag("pre", step.error, class_="error")
    if step.hint:
        yield tag("p", tag("b", "What to do: "), step.hint, class_="reason")
    for note in step.notes:
        yield tag("p", note, class_="reason")
    links = []
    if step.line:
        links.append(line_link(step.line))
    if step.log:
        links.append(tag("a", "its log", href=f"#{step.log}"))
    if links:
        yield tag("p", joined(_between(links)), class_="reason")
    if step.outputs:
        yield _outputs(step.outputs)


def _between(links: Sequence[Markup]) -> Iterable[str]:
    for number, link in enumerate(links):
        if number:
            yield " · "
        yield link


def line_link(line: int) -> Markup:
    """Return a link to a line of the flow below."""
    return tag("a", f"line {line} of the flow", href=f"#L{line}")


def _outputs(text: str) -> Markup:
    return tag("p", tag("b", "outputs "), tag("code", text), class_="reason")


def _row(name: str, label: Sequence[str], bars: Markup, seconds: float | None, spoken: str) -> Markup:
    took = "" if seconds is None else duration(seconds)
    drawing = tag(
        "svg",
        tag("use", href="#grid"),
        bars,
        class_="track",
        role="img",
        aria_label=f"times of {spoken}: {took}",
    )
    return tag(
        name,
        tag("span", joined(label), class_="label"),
        drawing,
        tag("span", took, class_="took"),
        class_="row",
    )


def _bars(spans: Sequence[Span], scale: Scale) -> Markup:
    return joined(_bar(span, scale) for span in spans)


def _bar(span: Span, scale: Scale) -> Markup:
    left = scale.left(span.start)
    width = max(scale.left(span.end) - left, NARROWEST)
    left = min(left, 100 - width)
    kind = f"fill bar {css_class(span.status)}" if span.kind == "attempt" else f"bar {span.kind}"
    return tag(
        "rect", tag("title", span.title), x=f"{left:.3f}%", width=f"{width:.3f}%", rx="2", class_=kind,
        **_VERTICAL[span.kind],
    )  # fmt: skip


_VERTICAL: dict[str, dict[str, str]] = {
    "attempt": {"y": "4", "height": "12"},
    "wait": {"y": "4", "height": "12"},
    "backoff": {"y": "9", "height": "2"},
}


def _activity(spans: Sequence[Span], scale: Scale) -> Markup:
    """Return how many attempts ran or waited at each time: a bar for each piece of the width, by status."""
    ran: list[Counter[str]] = [Counter() for _ in range(BUCKETS)]
    for span in spans:
        if span.kind != "backoff":
            for number in range(_bucket(span.start, scale), _bucket(span.end, scale) + 1):
                ran[number][span.status] += 1
    most = max(map(Counter.total, ran)) or 1
    pieces = []
    for number, here in enumerate(ran):
        bottom = 18.0
        for status, count in in_order(here):
            height = 16 * count / most
            bottom -= height
            pieces.append(
                tag(
                    "rect",
                    tag("title", f"{count:,} of {here.total():,}: {status}"),
                    x=f"{number * 100 / BUCKETS:.2f}%",
                    y=f"{bottom:.1f}",
                    width=f"{86 / BUCKETS:.2f}%",
                    height=f"{height:.1f}",
                    class_=f"fill {css_class(status)}",
                )
            )
    return joined(pieces)


def _bucket(at: datetime, scale: Scale) -> int:
    return min(int(scale.left(at) * BUCKETS / 100), BUCKETS - 1)
