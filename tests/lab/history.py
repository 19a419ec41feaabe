"""The history of a synthetic fleet, as a Prometheus would have recorded it."""

from __future__ import annotations

from collections.abc import Iterator

from . import jobs
from .fleet import JOBS, Fleet, line

Sample = tuple[str, dict[str, str], float]


def lines(fleet: Fleet, until: float, seconds: int, every: int = 60, extra: str = "") -> Iterator[str]:
    """Lines of OpenMetrics, alerts and what recording rules record included.

    :param extra: more lines.
    """
    times = [until - seconds + step for step in range(0, seconds + 1, every)]
    for number in range(fleet.hosts):
        for at in times:
            yield from _host(fleet, number, at)
    for at in times:
        for target, samples in jobs.of_monitoring(fleet, at):
            yield from _scraped(target, samples, 0.02, at)
    yield from _alerts(fleet, times)
    yield f"{extra}# EOF\n"


def _host(fleet: Fleet, number: int, at: float) -> Iterator[str]:
    """What was scraped from a host at a time."""
    target, down = fleet.target(number), fleet.down(number, at)
    recorded = list(fleet.recorded(number, at))
    said = [*fleet.samples(number, at), *(jobs.textfiles(fleet, at) if number == 0 else ())]
    targets = [
        (9100, said),
        (8080, list(fleet.containers(number, at))),
        (8000, list(fleet.application(number, at))),
        *jobs.of_host(fleet, number, at),
    ]
    for port, samples in targets:
        if not samples:
            continue
        labels = {**target, "job": JOBS[port], "instance": target["instance"].replace("9100", str(port))}
        if down:
            yield line("up", labels, 0, at)
        else:
            yield from _scraped(labels, samples, 0.03 + 0.001 * (number % 10), at)
    for name, labels, value in () if down else recorded:
        yield line(name, {**target, **labels}, value, at)


def _scraped(target: dict[str, str], samples: list[Sample], duration: float, at: float) -> Iterator[str]:
    """The samples of a scrape, and what Prometheus adds of it."""
    yield line("up", target, 1, at)
    yield line("scrape_duration_seconds", target, duration, at)
    for counted in ("samples_scraped", "samples_post_metric_relabeling"):
        yield line(f"scrape_{counted}", target, len(samples), at)
    # A few labels are new at every half hour.
    yield line("scrape_series_added", target, 3 if at % 1800 < 60 else 0, at)
    for name, labels, value in samples:
        yield line(name, {**target, **labels}, value, at)


def _alerts(fleet: Fleet, times: list[float]) -> Iterator[str]:
    watchdog = {"alertname": "Watchdog", "severity": "none", "service": "monitoring"}
    for at in times:
        yield line("ALERTS", {**watchdog, "alertstate": "firing"}, 1, at)
        yield line("ALERTS_FOR_STATE", watchdog, times[0], at)
        for labels, began, pending in fleet.alerts(at):
            state = "firing" if began <= at else "pending"
            yield line("ALERTS", {**labels, "alertstate": state}, 1, at)
            yield line("ALERTS_FOR_STATE", labels, pending, at)
