"""Figures as text, by the library that knows how (`prometheus_client`). To load it takes a tenth of
a second: only who is asked for figures does."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from bazar import VERSION
from bazar.metrics.figures import Figures

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class _Told(Collector):
    """What was told, as the library wants to be given it."""

    def __init__(self, figures: Figures) -> None:
        self._figures = figures

    def collect(self) -> Iterator[Metric]:
        for name, family in self._figures.families.items():
            metric = Metric(name, family.help, family.kind)
            for sample, labels, value in family.samples:
                metric.add_sample(sample, dict(labels), float(value))
            yield metric


def tell_process(figures: Figures) -> None:
    """Tell how much of the machine this process takes."""
    for metric in ProcessCollector(registry=None).collect():
        samples = [(one.name, one.labels, one.value) for one in metric.samples]
        figures.add(metric.name, metric.type, metric.documentation, samples)


def tell_build(figures: Figures, role: str) -> None:
    figures.gauge("bazar_build_info", 1, version=VERSION, role=role)


def text(figures: Figures) -> bytes:
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Told(figures))
    return generate_latest(registry)
