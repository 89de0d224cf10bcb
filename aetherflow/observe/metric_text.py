"""Write metrics in the text formats of Prometheus, and read them, with the library prometheus-client.

The library is an extra: it is imported by the first call.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from aetherflow.errors import MissingExtra
from aetherflow.observe.metric_definitions import METRICS, Metric
from aetherflow.observe.metric_values import Family, Histogram, Labels
from aetherflow.sdk.json_values import plain_text

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry
    from prometheus_client.metrics_core import Metric as Exposed

_BY_NAME = {metric.name: metric for metric in METRICS}


def check_library() -> None:
    """Import the library.

    Raises:
        MissingExtra: it is not installed.
    """
    try:
        import prometheus_client  # noqa: F401, PLC0415 - an extra, imported when metrics are wanted
    except ModuleNotFoundError as error:
        raise MissingExtra(
            f"metrics for Prometheus need the package {error.name!r}, which is not installed",
            hint="pip install 'aetherflow[metrics]'",
        ) from None


class Exposition:
    """Families of metrics as the library's registry has them, with the metrics of this process if wanted."""

    def __init__(self, *, of_process: bool = False) -> None:
        """Make an exposition.

        Args:
            of_process: with CPU time, memory, open files and start of this process.

        Raises:
            MissingExtra: the library is not installed.
        """
        check_library()
        from prometheus_client import CollectorRegistry, ProcessCollector  # noqa: PLC0415 - as above

        self.registry: CollectorRegistry = CollectorRegistry()
        self._families: Sequence[Family] = ()
        self.registry.register(self)
        if of_process:
            ProcessCollector(namespace="aetherflow", registry=self.registry)

    def collect(self) -> Iterator[Exposed]:
        """Yield the families; the registry calls it."""
        for family in self._families:
            yield _exposed(family)

    def text(self, families: Iterable[Family], accept: str = "") -> tuple[bytes, str]:
        """Return the text and its content type.

        Args:
            families: the metrics.
            accept: the Accept header of the request; empty: the classic text format, as for files.
        """
        from prometheus_client.exposition import choose_encoder  # noqa: PLC0415 - as above

        self._families = tuple(families)
        encode, content_type = choose_encoder(accept)
        return encode(self.registry), content_type


def _exposed(family: Family) -> Exposed:
    from prometheus_client.metrics_core import (  # noqa: PLC0415 - an extra
        CounterMetricFamily,
        GaugeMetricFamily,
        HistogramMetricFamily,
    )

    metric = family.metric
    if metric.kind == "histogram":
        histogram = HistogramMetricFamily(metric.name, metric.help, labels=metric.labels)
        for labels, one in family.histograms.items():
            histogram.add_metric([plain_text(value) for value in labels], _cumulated(metric, one), one.sum)
        return histogram
    of_kind = CounterMetricFamily if metric.kind == "counter" else GaugeMetricFamily
    numbers = of_kind(metric.name, metric.help, labels=metric.labels)
    for labels, number in family.numbers.items():
        numbers.add_metric([plain_text(value) for value in labels], number)
    return numbers


def _cumulated(metric: Metric, one: Histogram) -> list[tuple[str, float]]:
    total = 0.0
    bounds = [*(str(float(bound)) for bound in metric.buckets), "+Inf"]
    cumulated = []
    for bound, count in zip(bounds, one.counts, strict=True):
        total += count
        cumulated.append((bound, total))
    return cumulated


def read_families(text: str) -> list[Family]:
    """Read the families of our metrics from text; others, and histograms with other buckets, are left out.

    Raises:
        ValueError: it is no such text.
    """
    check_library()
    from prometheus_client.parser import text_string_to_metric_families  # noqa: PLC0415 - an extra

    try:
        parsed = list(text_string_to_metric_families(text))
    except Exception as error:  # the parser raises whatever a wrong line leads it to
        raise ValueError(str(error) or type(error).__name__) from error
    families = []
    for one in parsed:
        name = f"{one.name}_total" if one.type == "counter" else one.name
        metric = _BY_NAME.get(name)
        if metric is not None and metric.kind == one.type:
            families.append(_histogram_of(metric, one) if metric.buckets else _numbers_of(metric, one))
    return families


def _numbers_of(metric: Metric, one: Exposed) -> Family:
    numbers = {
        _labels(metric, sample.labels): sample.value
        for sample in one.samples
        if sample.name == metric.name and sample.labels.keys() == set(metric.labels)
    }
    return Family(metric, numbers, {})


def _histogram_of(metric: Metric, one: Exposed) -> Family:
    buckets: dict[Labels, dict[float, float]] = {}
    sums: dict[Labels, float] = {}
    for sample in one.samples:
        labels = {name: value for name, value in sample.labels.items() if name != "le"}
        if labels.keys() != set(metric.labels):
            continue
        key = _labels(metric, labels)
        if sample.name.endswith("_bucket"):
            buckets.setdefault(key, {})[float(sample.labels["le"])] = sample.value
        elif sample.name.endswith("_sum"):
            sums[key] = sample.value
    bounds = [*map(float, metric.buckets), float("inf")]
    found = {}
    for key, counts in buckets.items():
        if sorted(counts) == bounds:
            cumulated = [counts[bound] for bound in bounds]
            before = [0.0, *cumulated[:-1]]
            own = [many - few for many, few in zip(cumulated, before, strict=True)]
            found[key] = Histogram(own, sums.get(key, 0.0))
    return Family(metric, {}, found)


def _labels(metric: Metric, values: dict[str, str]) -> Labels:
    return tuple(values[name] for name in metric.labels)
