# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Targets of Prometheus compared with the expected ones. Response in, verdict and message out."""

from __future__ import annotations

import calendar
import datetime
import json
import re
from typing import NamedTuple

from ansible_collections.vigil.monitoring.plugins.module_utils._client import without_secrets
from ansible_collections.vigil.monitoring.plugins.module_utils._sanitize import sanitize

# The time that Prometheus reports for a target without a scrape.
_NEVER = "0001-01-01T00:00:00Z"
_SCRAPE_PREFIX = re.compile(r'^Get "[^"]*": ')

ROWS = 20
WIDTH = 110
CELL = 90


class Target(NamedTuple):
    """One active target.

    :ivar health: ``up``, ``down`` or ``unknown`` (not scraped yet, or not since the configuration was loaded).
    :ivar last_scrape: RFC 3339 time of the last scrape, or None when there was none.
    :ivar pool: name of the scrape configuration that it belongs to; differs from job after relabelling.
    :ivar interval: its scrape interval as Prometheus writes it, such as ``1m30s``.
    :ivar host: its label ``host``, for targets of the inventory the host's name; ``""`` without one.
    """

    job: str
    instance: str
    health: str
    scrape_url: str
    last_error: str
    last_scrape: str | None
    pool: str
    interval: str
    host: str = ""


class Verdict(NamedTuple):
    """The result of one comparison of targets. Lists are sorted by job and instance, without duplicates.

    :ivar expected: number of expected targets.
    :ivar up: number of expected targets that are up.
    :ivar down: expected targets that are not up, with the reason.
    :ivar missing: expected pairs that Prometheus does not have.
    :ivar unexpected: targets that are not expected, up or not.
    :ivar ignored: like ``down``, but ignored.
    """

    healthy: bool
    expected: int
    up: int
    down: list
    missing: list
    unexpected: list
    ignored: list


def _compact(found):
    """Keep only the needed fields of each target, while the response is still being parsed.

    Most of a response are discovered labels; dropping them here halves the memory for a large one.
    """
    if "labels" in found and "health" in found and "scrapeUrl" in found:
        labels = found["labels"] or {}
        pool = found.get("scrapePool") or ""
        last_scrape = found.get("lastScrape") or _NEVER
        return Target(
            labels.get("job", pool),
            labels.get("instance", ""),
            found["health"],
            found["scrapeUrl"],
            found.get("lastError") or "",
            None if last_scrape == _NEVER else last_scrape,
            pool,
            found.get("scrapeInterval") or "",
            labels.get("host", ""),
        )
    if "__address__" in found:
        return None
    return found


def parse(payload):
    """The active targets in a response of ``/api/v1/targets``.

    :param payload: bytes or str of JSON.
    :raises ValueError: when it is not such a response; the message says what it is instead.
    """
    try:
        answer = json.loads(payload, object_hook=_compact)
    except (ValueError, RecursionError) as error:
        raise ValueError("it is not JSON: {0}".format(_start_of(payload))) from error
    if not isinstance(answer, dict) or "status" not in answer:
        raise ValueError("it is JSON, but not from Prometheus: {0}".format(_start_of(payload)))
    if answer["status"] != "success":
        raise ValueError(
            "it is an error: {0}".format(sanitize(answer.get("error") or answer.get("errorType") or "unknown"))
        )
    data = answer.get("data")
    active = data.get("activeTargets") if isinstance(data, dict) else None
    if active is None and isinstance(data, dict) and "activeTargets" in data:
        return []
    if not isinstance(active, list) or not all(isinstance(target, Target) for target in active):
        raise ValueError("it has no list of active targets: {0}".format(_start_of(payload)))
    return active


def _start_of(payload):
    text = sanitize(payload[:200])
    return "it starts with {0!r}".format(text[:80]) if text else "it is empty"


def compile_ignore(patterns):
    """Turn ``{job, instance}`` pairs of regular expressions into one predicate of job and instance.

    A pattern matches the whole value, as in Prometheus; a missing one matches everything.

    :raises ValueError: when a pattern is not a valid regular expression, or an entry has neither; the message names it.
    """
    pairs = []
    for entry in patterns or ():
        if not entry.get("job") and not entry.get("instance"):
            raise ValueError("an entry of ignore has neither job nor instance; it would ignore every target")
        pair = []
        for key in ("job", "instance"):
            pattern = entry.get(key)
            try:
                pair.append(re.compile(pattern) if pattern else None)
            except re.error as error:
                raise ValueError(
                    "ignore: {0}: {1!r} is not a valid regular expression: {2}".format(key, pattern, error)
                ) from error
        pairs.append(tuple(pair))

    def ignored(job, instance):
        return any(
            (by_job is None or by_job.fullmatch(job)) and (by_instance is None or by_instance.fullmatch(instance))
            for by_job, by_instance in pairs
        )

    return ignored


def time_of(text):
    """A time of Prometheus' API, in the zone of its host, in seconds since the epoch."""
    moment = calendar.timegm(datetime.datetime.fromisoformat(text[:19]).timetuple())
    rest = text[19:]
    zone = re.search(r"([+-])(\d\d):(\d\d)$", rest)
    if zone:
        moment -= int(zone.group(1) + "1") * (int(zone.group(2)) * 3600 + int(zone.group(3)) * 60)
    digits = re.match(r"\.(\d+)", rest)
    return moment + (float("0." + digits.group(1)) if digits else 0.0)


def is_scraped(target, since):
    """Whether a target has been scraped since a time.

    :param since: seconds since the epoch; None: whenever it was.
    """
    return target.last_scrape is not None and (since is None or time_of(target.last_scrape) >= since)


def judge(targets, expect=None, ignored=None, fail_on_unexpected=False, pools=(), since=None):
    """Compare the targets of Prometheus with the expected ones. Linear in both.

    If several targets have the same job and instance, that pair is up only when all of them are.

    :param targets: list of :class:`Target`.
    :param expect: iterable of (job, instance), or None when every target of Prometheus must be up.
    :param ignored: predicate of job and instance that says whether a target may be down, as of :func:`compile_ignore`.
    :param fail_on_unexpected: whether a target that is not expected makes the result unhealthy.
    :param pools: names of scrape configurations all of whose targets must be up as well.
    :param since: seconds since the epoch; a last scrape before that is not counted. None: all are counted.
    """
    wanted = None if expect is None else dict.fromkeys(expect)
    pools = frozenset(pools)
    known = {}
    down, unexpected, tolerated = [], [], []
    for target in targets:
        pair = (target.job, target.instance)
        if wanted is not None and pair not in wanted and target.pool not in pools:
            unexpected.append(target)
            continue
        if target.last_scrape is not None and not is_scraped(target, since):
            target = target._replace(health="unknown")
        good = target.health == "up"
        known[pair] = known.get(pair, True) and good
        if not good:
            if ignored is not None and ignored(*pair):
                tolerated.append(target)
            else:
                down.append(target)
    missing = sorted(pair for pair in wanted or () if pair not in known)
    return Verdict(
        healthy=not down
        and not missing
        and not (fail_on_unexpected and unexpected)
        and not (wanted is None and not known),
        expected=len(known) + len(missing),
        up=sum(known.values()),
        down=sorted(set(down), key=_order),
        missing=missing,
        unexpected=sorted(set(unexpected), key=_order),
        ignored=sorted(set(tolerated), key=_order),
    )


def _order(target):
    return target.job, target.instance, target.scrape_url


def place(instance, host):
    """An instance, preceded by the name of its host in the inventory, if there is one that the instance does not begin with.

    :param host: the label ``host``; empty or None without one.
    """
    return instance if not host or instance in (host, "") or instance.startswith(host + ":") else host + " " + instance


def as_dict(target):
    """A target in the format of module results."""
    return {
        "job": target.job,
        "instance": target.instance,
        "health": target.health,
        "scrape_url": sanitize(without_secrets(target.scrape_url)),
        "last_error": sanitize(without_secrets(target.last_error)),
        "last_scrape": target.last_scrape,
    }


def counts(verdict, unexpected=False):
    """``3 of 5 expected targets are up: 1 down, 1 missing``."""
    waiting = sum(target.health == "unknown" for target in verdict.down)
    parts = [
        (len(verdict.down) - waiting, "down"),
        (waiting, "not scraped yet"),
        (len(verdict.missing), "missing"),
        (len(verdict.unexpected) if unexpected else 0, "unexpected"),
    ]
    text = "{0} of {1} expected target{2} up".format(
        verdict.up, verdict.expected, " is" if verdict.expected == 1 else "s are"
    )
    found = ", ".join("{0} {1}".format(number, what) for number, what in parts if number)
    return text + (": " + found if found else "")


def problems(verdict, targets=(), unexpected=False, limit=ROWS):
    """The rows of a failure: (problem, job, instance, reason), the most important first, and the number of omitted ones.

    :param targets: all targets; they distinguish a missing one from one with another label.
    :param unexpected: whether unexpected targets are problems.
    """
    waiting = [target for target in verdict.down if target.health == "unknown"]
    rows = [
        ("down", target.job, place(target.instance, target.host), _why(target))
        for target in verdict.down[: limit + len(waiting)]
        if target.health != "unknown"
    ][:limit]
    if len(rows) < limit and verdict.missing:
        hints = _neighbours(verdict.missing[: limit - len(rows)], targets)
        rows += [("missing", pair[0], pair[1], hint) for pair, hint in hints]
    if len(rows) < limit:
        rows += [
            ("not scraped", target.job, place(target.instance, target.host), _waiting(target))
            for target in waiting[: limit - len(rows)]
        ]
    if unexpected and len(rows) < limit:
        rows += [
            (
                "unexpected",
                target.job,
                place(target.instance, target.host),
                "it is {0}, but not in `expect`".format(target.health),
            )
            for target in verdict.unexpected[: limit - len(rows)]
        ]
    total = len(verdict.down) + len(verdict.missing) + (len(verdict.unexpected) if unexpected else 0)
    return rows, total - len(rows)


def _waiting(target):
    when = "yet" if target.last_scrape is None else "since its configuration was loaded"
    return "no scrape {0} (every {1})".format(when, target.interval or "?")


def _why(target):
    text = sanitize(_SCRAPE_PREFIX.sub("", without_secrets(target.last_error)))
    return text or "health is {0!r}".format(target.health)


def _neighbours(missing, targets):
    """Each missing pair with a hint at similar targets: the instance in another job, the job with other instances."""
    by_instance = {instance: set() for dummy, instance in missing}
    sizes = dict.fromkeys((job for job, dummy in missing), 0)
    by_host = {_host(instance): set() for dummy, instance in missing}
    for target in targets:
        if target.instance in by_instance:
            by_instance[target.instance].add(target.job)
        if target.job in sizes:
            sizes[target.job] += 1
            host = _host(target.instance)
            if host in by_host:
                by_host[host].add((target.job, target.instance))
    for pair in missing:
        job, instance = pair
        others = sorted(other for found, other in by_host[_host(instance)] if found == job)
        if by_instance[instance]:
            yield pair, "Prometheus has it as job {0}".format(", ".join(sorted(by_instance[instance])))
        elif others:
            yield pair, "Prometheus has {0} in this job".format(", ".join(others[:3]))
        elif sizes[job]:
            yield pair, "not among the {0} target{1} of this job".format(sizes[job], "" if sizes[job] == 1 else "s")
        else:
            yield pair, "Prometheus has no target in a job of this name"


def _host(instance):
    return instance.rpartition(":")[0] or instance


def table(header, rows, left=0, indent="  "):
    """Rows as aligned columns; cells are truncated at a readable width.

    The content of a cell is untrusted, and is sanitized.

    :param header: titles of the columns.
    :param left: number of rows that are not shown.
    """
    lines = [header] + [(*(sanitize(cell, CELL) for cell in row[:-1]), sanitize(row[-1], WIDTH)) for row in rows]
    widths = [max(len(line[column]) for line in lines) for column in range(len(header) - 1)]
    text = []
    for line in lines:
        cells = [cell.ljust(width) for cell, width in zip(line, widths)]
        text.append(indent + "  ".join([*cells, line[-1]]).rstrip())
    if left:
        text.append("{0}and {1} more".format(indent, left))
    return "\n".join(text)


def explain(verdict, targets=(), fail_on_unexpected=False):
    """The whole failure as text: the counts, followed by a table of the problems.

    :param verdict: result of :func:`judge`.
    :param targets: the targets of Prometheus.
    :param fail_on_unexpected: whether unexpected ones are problems as well.
    """
    if not verdict.expected and not verdict.unexpected:
        return "Prometheus has no targets at all"
    rows, left = problems(verdict, targets, fail_on_unexpected)
    text = counts(verdict, fail_on_unexpected)
    if verdict.ignored:
        text += " ({0} down, but ignored)".format(len(verdict.ignored))
    if rows:
        text += "\n" + table(("PROBLEM", "JOB", "INSTANCE", "WHY"), rows, left)
    return text
