"""Hold the values of metrics: counters, gauges and histograms by their label values.

One writer, on the event loop or in the thread that merges files; others read a copy that `families` makes.
Imports nothing of the engine, and no library of Prometheus.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterator, Mapping

import msgspec

from aetherflow.observe.metric_definitions import (
    LABEL_OVERFLOW,
    LAST_RUN,
    LAST_RUN_OK,
    LAST_SUCCESS,
    METRICS,
    Metric,
)

MOST_VALUES = 1000
"""How many values a label may have; further ones become `_other`. A server may have 10,000 items."""

OTHER = "_other"
_BOUNDED = frozenset({"flow", "item", "scheduler", "step_type", "pool"})
"""The labels whose values come from users."""

Labels = tuple[str, ...]


class Histogram(msgspec.Struct):
    """Observations by bucket, not cumulated; the last bucket has no upper bound."""

    counts: list[float]
    sum: float = 0.0


class Family(msgspec.Struct, frozen=True):
    """A metric with a copy of its values."""

    metric: Metric
    numbers: Mapping[Labels, float]
    histograms: Mapping[Labels, Histogram]


class MetricValues:
    """The values of all metrics of a process, or of a file."""

    def __init__(self, most_values: int = MOST_VALUES) -> None:
        self._most = most_values
        self._known: dict[str, set[str]] = {}
        self._numbers: defaultdict[str, dict[Labels, float]] = defaultdict(dict)
        self._histograms: defaultdict[str, dict[Labels, Histogram]] = defaultdict(dict)

    def add(self, metric: Metric, *labels: str, number: float = 1) -> None:
        """Add to a counter; with 0 the counter begins to exist."""
        values = self._numbers[metric.name]
        if labels not in values:
            labels = self._bounded(metric, labels)
        values[labels] = values.get(labels, 0) + number

    def set(self, metric: Metric, *labels: str, number: float) -> None:
        """Set a gauge; one whose label has too many values is left out, as several would share it."""
        values = self._numbers[metric.name]
        if labels not in values and OTHER in self._bounded(metric, labels):
            return
        values[labels] = number

    def observe(self, metric: Metric, *labels: str, seconds: float) -> None:
        """Add an observation to a histogram."""
        found = self._histogram(metric, labels)
        found.counts[bisect_left(metric.buckets, seconds)] += 1
        found.sum += seconds

    def number(self, metric: Metric, *labels: str) -> float | None:
        """Return the value of a counter or gauge; None if it has none."""
        return self._numbers[metric.name].get(labels)

    def labels(self, metric: Metric) -> list[Labels]:
        """Return the label values of a counter or gauge."""
        return list(self._numbers[metric.name])

    def forget(self, metric: Metric, *labels: str) -> None:
        """Remove a gauge of what is no longer there; no error if there is none."""
        self._numbers[metric.name].pop(labels, None)

    def clear(self, metric: Metric) -> None:
        """Remove all values of a gauge, before it is set again."""
        self._numbers[metric.name].clear()

    def run_ended(self, flow: str, at: float, *, succeeded: bool) -> None:
        """Set the gauges of a flow whose run ended, unless they know of a later one.

        Args:
            flow: the id of the flow.
            at: when it ended, in seconds since 1970.
            succeeded: whether with success.
        """
        if at >= (self.number(LAST_RUN, flow) or 0):
            self.set(LAST_RUN, flow, number=at)
            self.set(LAST_RUN_OK, flow, number=float(succeeded))
        if succeeded and at >= (self.number(LAST_SUCCESS, flow) or 0):
            self.set(LAST_SUCCESS, flow, number=at)

    def merge(self, family: Family) -> None:
        """Add the values of counters and histograms; a gauge is set."""
        metric = family.metric
        for labels, number in family.numbers.items():
            if metric.kind == "counter":
                self.add(metric, *labels, number=number)
            else:
                self.set(metric, *labels, number=number)
        for labels, one in family.histograms.items():
            found = self._histogram(metric, labels)
            found.counts = [a + b for a, b in zip(found.counts, one.counts, strict=True)]
            found.sum += one.sum

    def families(self, *, all_metrics: bool = False) -> Iterator[Family]:
        """Yield a copy of the values of each metric, in the order of the definitions.

        With `all_metrics` also of those that have none, so that a reader sees that they exist.
        """
        for metric in METRICS:
            numbers = dict(self._numbers[metric.name])
            histograms = {
                labels: Histogram(list(one.counts), one.sum)
                for labels, one in self._histograms[metric.name].items()
            }
            if numbers or histograms or all_metrics:
                yield Family(metric, numbers, histograms)

    def _histogram(self, metric: Metric, labels: Labels) -> Histogram:
        """Return the histogram of label values; a new one if there is none."""
        values = self._histograms[metric.name]
        if labels not in values:
            labels = self._bounded(metric, labels)
        if labels not in values:
            values[labels] = Histogram([0] * (len(metric.buckets) + 1))
        return values[labels]

    def _bounded(self, metric: Metric, labels: Labels) -> Labels:
        """Return label values that are new to a metric, with `_other` for those that are too many."""
        chosen = list(labels)
        for place, name in enumerate(metric.labels):
            if name not in _BOUNDED:
                continue
            known = self._known.setdefault(name, set())
            if labels[place] in known or labels[place] == OTHER:
                continue
            if len(known) < self._most:
                known.add(labels[place])
            else:
                chosen[place] = OTHER
                self.add(LABEL_OVERFLOW, name)
        return tuple(chosen)
