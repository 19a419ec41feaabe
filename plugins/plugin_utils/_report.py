# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The results of the module checklist as a document: headings, lists and tables, the most urgent first.

The content of a document is decided here, its formatting in _render; texts are raw here, label values included.
"""

from __future__ import annotations

import datetime
import math
import statistics
from typing import NamedTuple

from ansible_collections.vigil.monitoring.plugins.module_utils import _targets
from ansible_collections.vigil.monitoring.plugins.plugin_utils import _rules

GOOD, WARN, BAD, DIM = "good", "warn", "bad", "dim"

ROWS = 40
NOTHING = "-"
DISK_DAYS = (30.0, 7.0)
AVAILABLE = 0.995
_DAYS = "Mon Tue Wed Thu Fri Sat Sun".split()
_MONTHS = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split()
_SEVERITIES = {"critical": 0, "warning": 1, "info": 2}
# Labels that identify the place, as plain values and in this order; the others as name=value.
_PLACES = ("host", "instance", "mountpoint", "datname", "name", "handler", "integration")
# They do not identify the place, or the alert's name implies it.
_SILENT = ("job", "service", "severity", "alertname", "__name__", "device", "fstype")


class Line(NamedTuple):
    """A small line chart of percentages; ``title`` describes it."""

    points: list
    title: str


class Strip(NamedTuple):
    """Time spans on an axis from 0 to 1; ``ticks`` are positions of fine lines."""

    spells: list
    ticks: list
    state: str
    title: str


class Cell(NamedTuple):
    """A cell of a table. ``name``: whether it is a name to be shown verbatim."""

    text: str = ""
    state: str | None = None
    plot: object = None
    name: bool = False


class Column(NamedTuple):
    """A column of a table; numbers are right-aligned."""

    title: str
    right: bool = False


class Heading(NamedTuple):
    """A heading of level 2 or 3.

    :ivar folded: whether what follows is shown only on demand, where the format can do so.
    :ivar brief: whether what follows is a part of the short report that is sent.
    """

    level: int
    text: str
    folded: bool = False
    brief: bool = False


class Para(NamedTuple):
    """A paragraph."""

    text: str
    state: str | None = None


class Items(NamedTuple):
    """A list of ``(state, text)``."""

    entries: list


class Table(NamedTuple):
    """Rows of cells; ``left`` is the number of rows that are not shown."""

    columns: list
    rows: list
    left: int = 0


class Document(NamedTuple):
    """A whole report. ``verdict`` says in one sentence whether something needs attention."""

    title: str
    subtitle: str
    verdict: Para
    blocks: list


def clock(zone=None):
    """A function of seconds since the epoch that gives the time of this zone; of this machine's, when none is given."""

    def local(at):
        utc = datetime.datetime.fromtimestamp(at, datetime.timezone.utc)
        return utc.astimezone(zone)

    return local


def moment(at, long=False):
    """``Tue 24 Nov 04:14``; long: with year and zone. English whatever the locale is, as the rest of the report."""
    text = "{0} {1} {2}".format(_DAYS[at.weekday()], at.day, _MONTHS[at.month - 1])
    if long:
        return "{0} {1} {2:%H:%M} {3}".format(text, at.year, at, at.tzname() or "").rstrip()
    return "{0} {1:%H:%M}".format(text, at)


def length(total):
    """A duration in at most two units: ``45 s``, ``12 min``, ``3 h 20 min``, ``2 d 4 h``."""
    if math.isinf(total):
        return figure(total)
    total = int(total)
    if total < 60:
        return "{0} s".format(total)
    minutes = round(total / 60)
    if minutes < 60:
        return "{0} min".format(minutes)
    hours, rest = divmod(minutes, 60)
    if hours < 48:
        return "{0} h {1} min".format(hours, rest) if rest else "{0} h".format(hours)
    days, hours = divmod(round(total / 3600), 24)
    return "{0} d {1} h".format(days, hours) if hours else "{0} d".format(days)


def span(total):
    """A time range as text: ``24 hours``, ``7 days``."""
    for unit, name in ((86400, "day"), (3600, "hour"), (60, "minute")):
        if total % unit == 0 and (unit != 86400 or total > unit):
            return plural(total // unit, name)
    return plural(total, "second")


def size(value):
    """Bytes with a binary unit: ``1.5 GiB``."""
    sign, value = ("-", -value) if value < 0 else ("", value)
    for unit in ("B", "KiB", "MiB", "GiB", "TiB"):
        if value < 999.5 or unit == "TiB":
            return "{0}{1:.{2}f} {3}".format(sign, value, 0 if unit == "B" or value >= 100 else 1, unit)
        value /= 1024
    raise AssertionError("unreachable")


def figure(value):
    """A measured number in three digits or so; what was divided by zero as Prometheus writes it."""
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    if value == int(value) and abs(value) < 1e6:
        return str(int(value))
    return "{0:.0f}".format(value) if 1000 <= abs(value) < 1e6 else "{0:.3g}".format(value)


def share(value):
    """A share as percent that is never rounded up to 100 %."""
    if value >= 1:
        return "100 %"
    return "{0:.2f} %".format(int(value * 10000) / 100)


def plural(count, noun):
    """``1 alert``, ``2 alerts``."""
    return "{0} {1}{2}".format(count, noun, "" if count == 1 else "s")


def some(names, count=3):
    """The first names, and how many more there are."""
    more = ", and {0} more".format(len(names) - count) if len(names) > count else ""
    return ", ".join(names[:count]) + more


def place(entry):
    """Where something is that has an instance: see :func:`_targets.place`."""
    return _targets.place(entry["instance"], entry.get("host"))


def _by_host(labels):
    """Labels with the host's name in their instance."""
    if not labels.get("instance"):
        return labels
    return {**{name: text for name, text in labels.items() if name != "host"}, "instance": place(labels)}


def where(labels):
    """The labels of an alert as a place."""
    labels = _by_host(labels)
    parts = [labels[name] for name in _PLACES if labels.get(name)]
    parts += [
        "{0}={1}".format(name, text) for name, text in sorted(labels.items()) if name not in _PLACES + _SILENT and text
    ]
    return " ".join(parts) or labels.get("job", "")


def document(sections, local, limit=ROWS):
    """The report.

    :param sections: list of ``(host, answers)``, the results as the module checklist returns them, None for a host
        without any.
    :param local: function of seconds since the epoch, as :func:`clock` makes it.
    :param limit: rows of a table.
    """
    answered = [answers for dummy, answers in sections if answers and answers.get("answered")]
    title = "Monitoring report"
    subtitle = "no Prometheus could be queried"
    if answered:
        end, length_ = max(found["end"] for found in answered), max(found["range"] for found in answered)
        subtitle = "{0} until {1}".format(span(length_), moment(local(end), long=True))
    blocks, findings = [], []
    for host, answers in sections:
        section = Section(host, answers, local, limit)
        blocks += section.blocks()
        findings += section.overview
    return Document(title, subtitle, verdict(findings), blocks)


def verdict(findings):
    """Whether something needs attention, as a paragraph.

    :param findings: list of ``(state, text)``.
    """
    counts = {state: sum(found == state for found, dummy in findings) for state in (BAD, WARN)}
    if not any(counts.values()):
        return Para("Nothing needs attention." if findings else "Nothing was reported.", GOOD if findings else WARN)
    parts = [plural(counts[state], noun) for state, noun in ((BAD, "problem"), (WARN, "warning")) if counts[state]]
    return Para("{0}.".format(" and ".join(parts)), BAD if counts[BAD] else WARN)


def brief(whole):
    """The short report: for each Prometheus its overview, and the parts that are marked as brief."""
    blocks, kept = [], True
    for block in whole.blocks:
        if isinstance(block, Heading):
            kept = block.level == 2 or block.brief
        if kept:
            blocks.append(block)
    return whole._replace(blocks=blocks)


class Section:
    """The section about one Prometheus."""

    def __init__(self, host, answers, local, limit=ROWS):
        self.host = host
        self.answers = answers or {"answered": False, "problems": []}
        # For a Prometheus that was given by its URL there is no inventory: the defaults apply.
        self.marks = self.answers.get("marks") or _rules.marks(_rules.load_packs(), {})
        self.local = local
        self.limit = limit
        self.overview = []

    def blocks(self):
        """Heading, overview, and the parts in the order of the checklist."""
        answers = self.answers
        if not answers.get("answered"):
            texts = [problem["text"] for problem in answers.get("problems") or ()] or ["it was not queried"]
            kept = "" if answers.get("agent") else "No data: "
            # An agent is as it should be.
            state = DIM if answers.get("agent") else BAD
            self.overview = [(state, kept + text) for text in texts]
            return [Heading(2, self.host), Items(self.overview)]
        parts = []
        for part in (
            self.changes,
            self.alerts,
            self.targets,
            self.disks,
            self.hosts,
            self.backups,
            self.monitoring,
            self.thresholds,
        ):
            parts += self._folded(part)
        unanswered = len(answers["problems"])
        if unanswered:
            text = "{0} failed; the report lists them".format(plural(unanswered, "request"))
            self.overview.append((WARN, text))
        order = {BAD: 0, WARN: 1, GOOD: 2}
        version = "Prometheus {0}".format(answers["version"] or "of an unknown version")
        return [
            Heading(2, self.host),
            Para("{0} at {1}, {2}".format(version, answers["url"], plural(answers["queries"], "request"))),
            Items(sorted(self.overview, key=lambda entry: order[entry[0]])),
            *parts,
        ]

    def _folded(self, part):
        """The blocks of a part; it is folded unless the overview, or a request that failed, leads to it."""
        known = len(self.overview)
        heading, *blocks = part()
        told = [state for state, dummy in self.overview[known:]]
        failed = any(state == WARN for block in blocks if isinstance(block, Items) for state, dummy in block.entries)
        return [heading._replace(folded=not (heading.brief or failed or BAD in told or WARN in told)), *blocks]

    def problems(self, section):
        """A list of the requests that failed for a section; empty if none did."""
        found = [problem["text"] for problem in self.answers["problems"] if problem["section"] == section]
        return [Items([(WARN, "Request failed: " + text) for text in found])] if found else []

    def at(self, stamp):
        """A time of the report; of a metric it may be none, as where a script has written milliseconds."""
        try:
            return moment(self.local(stamp))
        except (ValueError, OverflowError, OSError):
            return "no time: {0}".format(figure(stamp))

    def table(self, columns, rows):
        """A table with at most the first ``limit`` rows."""
        return Table(columns, rows[: self.limit], max(0, len(rows) - self.limit))

    def changes(self):
        """What is different from the start of the range."""
        found, whole = self.answers["changes"], span(self.answers["range"])
        blocks = [Heading(3, "Changes in {0}".format(whole), brief=True), *self.problems("changes")]
        if not found["compared"]:
            return [*blocks, Para("Prometheus has no samples of {0} ago to compare with.".format(whole), DIM)]
        entries = [
            *self._alert_changes(found["alerts_before"], whole),
            *_target_changes("added to", found["added"], None),
            *_target_changes("removed from", found["removed"], WARN),
        ]
        for entry in found["versions"]:
            text = "{0} of {1}: {2}, before {3}"
            both = [", ".join(entry[at]) for at in ("now", "before")]
            entries.append((None, text.format(entry["program"], entry["job"], *both)))
        entries += self._disk_changes()
        for entry in found["figures"]:
            # The number of series is never the same twice.
            if abs(entry["now"] - entry["before"]) >= 0.2 * max(entry["before"], 1) or (
                entry["figure"] != "series in memory" and entry["now"] != entry["before"]
            ):
                entries.append(
                    (
                        None,
                        "{0}: {1}, before {2}".format(entry["figure"], figure(entry["now"]), figure(entry["before"])),
                    )
                )
        return [*blocks, Items(entries) if entries else Para("Nothing changed.", GOOD)]

    def _alert_changes(self, before, whole):
        fired = self.answers["alerts"]
        if before is None or fired is None:
            return []
        now = {(entry["alert"], entry["severity"]): entry for entry in fired["fired"] if entry["episodes"]}
        was = {(entry["alert"], entry["severity"]) for entry in before}
        lines = []
        for key in sorted(set(now) - was, key=lambda key: (_rank(key[1]), key)):
            lines.append(
                (
                    _state_of(key[1]),
                    "{0}, {1}: fired, unlike in the {2} before".format(key[0], key[1] or NOTHING, whole),
                )
            )
        for key in sorted(was - set(now), key=lambda key: (_rank(key[1]), key)):
            lines.append(
                (GOOD, "{0}, {1}: did not fire, unlike in the {2} before".format(key[0], key[1] or NOTHING, whole))
            )
        return _first(lines, "more alerts")

    def _disk_changes(self):
        """File systems whose use has changed by a hundredth of their size, or more."""
        lines = []
        for disk in self.answers["disks"] or ():
            past = [value for at, value in disk["history"] if at <= self.answers["start"]]
            moved = disk["used"] - past[-1] if past else 0
            if abs(moved) >= 1:
                text = "{0} {1}: {2:.0f} % used, before {3:.0f} %"
                state = None if moved < 0 else self._disk_state(disk)
                lines.append(
                    (-abs(moved), (state, text.format(place(disk), disk["mountpoint"], disk["used"], past[-1])))
                )
        return _first([entry for dummy, entry in sorted(lines, key=lambda line: line[0])], "more file systems")

    def _disk_state(self, disk):
        return _mark(disk["used"], self._bounds("disk", disk))

    def _bounds(self, what, entry):
        """The thresholds of the host that an entry is about."""
        return self.marks["of"].get(entry["instance"], self.marks)[what]

    def hosts(self):
        """The busiest hosts."""
        found = self.answers["hosts"]
        blocks = [Heading(3, "Busiest hosts"), *self.problems("hosts")]
        for what, title in (("cpu", "CPU"), ("memory", "Memory")):
            rows = []
            for host in found[what] or ():
                bounds = self._bounds(what, host)
                text = "{0} of {1}: from {2:.0f} % to {3:.0f} % used, at most {4:.0f} %".format(
                    title, place(host), host["history"][0][1], host["last"], host["most"]
                )
                rows.append(
                    [
                        Cell(place(host), name=True),
                        Cell("{0:.0f} %".format(host["most"]), _mark(host["most"], bounds)),
                        Cell("{0:.0f} %".format(host["mean"]), _mark(host["mean"], bounds)),
                        Cell("{0:.0f} %".format(host["last"]), _mark(host["last"], bounds)),
                        Cell(plot=Line(host["history"], text) if len(host["history"]) > 1 else None),
                    ]
                )
            if rows:
                columns = [Column("{0} of host".format(title)), Column("Max", True), Column("Mean", True), Column("Now", True),
                           Column(self._axis())]  # fmt: skip
                blocks.append(self.table(columns, rows))
        if not any(found.values()) and not self.problems("hosts"):
            blocks.append(Para("No metrics of hosts.", DIM))
        return blocks

    def targets(self):
        """Which targets are up, and the versions that run."""
        blocks = [Heading(3, "Services and targets"), *self.problems("targets")]
        found = self.answers["targets"]
        if found is not None:
            down = len(found["down"]) + len(found["missing"])
            text = "{0} of {1} up".format(found["up"], plural(found["expected"], "expected target"))
            state = BAD if down or not found["expected"] else GOOD
            names = ["{0} {1}".format(entry["job"], place(entry)) for entry in found["down"] + found["missing"]]
            self.overview.append((state, text + ("; not up: " + some(names) if names else "")))
            if found["ignored"]:
                text += "; down, but ignored: {0}".format(len(found["ignored"]))
            blocks.append(Para(text, state))
            rows = [
                [Cell(kind, state), Cell(entry["job"], name=True), Cell(place(entry), name=True), Cell(why)]
                for kind, state, entries in (
                    ("down", BAD, found["down"]),
                    ("missing", BAD, found["missing"]),
                    ("down, ignored", DIM, found["ignored"]),
                    ("down, not expected", DIM, found["unexpected_down"]),
                )
                for entry in entries
                for why in [entry.get("last_error", "not in Prometheus") or "not scraped yet"]
            ]
            if rows:
                blocks.append(self.table([Column("Target"), Column("Job"), Column("Instance"), Column("Why")], rows))
        rows = [self._job(job, found) for job in self.answers["services"]]
        if rows:
            columns = [Column("Job"), Column("Up now", True), Column("Lowest availability", True), Column("Instance"),
                       Column("Versions"), Column("Restarts")]  # fmt: skip
            blocks.append(self.table(columns, rows))
        return blocks

    def _job(self, job, targets):
        known = (targets or {}).get("jobs", {}).get(job["job"])
        least = job["instances"][0] if job["instances"] else None
        versions = []
        for program, numbers in sorted(job["versions"].items()):
            texts = [
                number if len(numbers) == 1 else "{0} ({1})".format(number, count)
                for number, count in sorted(numbers.items())
            ]
            versions.append("{0} {1}".format(program, ", ".join(texts)))
        restarts = ["{0} ({1})".format(place(entry), entry["times"]) for entry in job["restarts"]]
        up = Cell("{0}/{1}".format(*known), GOOD if known[0] == known[1] else BAD) if known else Cell(NOTHING)
        worst, least_at = Cell(NOTHING), Cell()
        if least:
            worst = Cell(share(least["up"]), None if least["up"] >= 1 else WARN if least["up"] >= AVAILABLE else BAD)
            if least["up"] < 1:
                least_at = Cell(place(least), name=True)
        return [
            Cell(job["job"], name=True),
            up,
            worst,
            least_at,
            Cell("; ".join(versions)),
            Cell(some(restarts), WARN if restarts else None),
        ]

    def alerts(self):
        """What fired when, and what fired most."""
        found = self.answers["alerts"]
        blocks = [Heading(3, "Alerts"), *self.problems("alerts")]
        if found is None:
            return blocks
        # A metric may have no point at any of the steps: then it fired for less than one.
        fired = [entry for entry in found["fired"] if entry["episodes"]]
        still = [entry for entry in fired if entry["episodes"][-1]["ongoing"]]
        names = {entry["alert"] for entry in fired}
        if not fired:
            self.overview.append((GOOD, "no alert fired"))
            return [*blocks, Para("No alert fired.", GOOD)]
        text = "{0} fired ({1})".format(plural(found["series"], "alert"), plural(len(names), "name"))
        if still:
            critical = sum(entry["severity"] == "critical" for entry in still)
            text += ", {0} still firing".format(len(still))
            text += ", {0} of them critical".format(critical) if critical else ""
            still.sort(key=self._urgency)
            text += ": " + some(list(dict.fromkeys(entry["alert"] for entry in still)))
            self.overview.append((BAD if critical else WARN, text))
        else:
            self.overview.append((WARN, text + ", none of them now"))
        if found["by_name"]:
            text = "{0} alerts are too many to list individually: listed by name, an episode being a time in which any of them fired"
            blocks.append(Para(text.format(found["series"]), WARN))
        columns = [Column("Alert"), Column("Severity"), Column("Where"), Column("Times", True), Column("From"),
                   Column("Until"), Column("Firing for", True), Column(self._axis())]  # fmt: skip
        fired.sort(key=self._urgency)
        blocks.append(self.table(columns, [self._alert(entry) for entry in fired]))
        blocks += [Heading(3, "Most fired", folded=True), self._most_fired(fired, found["by_name"])]
        return blocks

    def _axis(self):
        return "{0} to {1}".format(self.at(self.answers["start"]), self.at(self.answers["end"]))

    @staticmethod
    def _urgency(entry):
        last = entry["episodes"][-1]
        return not last["ongoing"], _rank(entry["severity"]), -last["end"], entry["alert"]

    def _alert(self, entry):
        spells = entry["episodes"]
        first, last = spells[0], spells[-1]
        total = sum(spell["end"] - spell["start"] for spell in spells)
        state = _state_of(entry["severity"])
        where_ = where(entry["labels"])
        if entry["most"]:
            where_ = "at most {0} at once".format(entry["most"])
        return [
            Cell(entry["alert"], name=True),
            Cell(entry["severity"] or NOTHING, state),
            Cell(where_, name=not entry["most"]),
            Cell(str(len(spells))),
            Cell(self.at(first["start"])),
            Cell("still firing", state) if last["ongoing"] else Cell(self.at(last["end"])),
            Cell(length(total)),
            Cell(plot=self._strip(spells, state, entry["alert"])),
        ]

    def _strip(self, spells, state, name):
        start, whole = self.answers["start"], self.answers["range"]
        scaled = [
            (max(0.0, (spell["start"] - start) / whole), min(1.0, (spell["end"] - start) / whole)) for spell in spells
        ]
        parts = 4 if whole <= 2 * 86400 else min(31, whole // 86400)
        ticks = [index / parts for index in range(1, parts)]
        texts = [
            "{0} to {1}".format(self.at(spell["start"]), "now" if spell["ongoing"] else self.at(spell["end"]))
            for spell in spells[:10]
        ]
        return Strip(scaled, ticks, state, "{0}: {1}".format(name, ", ".join(texts)))

    def _most_fired(self, fired, by_name):
        sums = {}
        for entry in fired:
            sums.setdefault((entry["alert"], entry["severity"]), []).append(entry["episodes"])
        lines = []
        for (alert, severity), series in sums.items():
            spells = [spell for episodes in series for spell in episodes]
            lengths = [spell["end"] - spell["start"] for spell in spells]
            # Only what lies in the range counts: an alert that has fired for a week did not fire most today.
            inside = sum(spell["end"] - max(spell["start"], self.answers["start"]) for spell in spells)
            lines.append((len(spells), inside, statistics.median(lengths), len(series), alert, severity))
        lines.sort(key=lambda line: (-line[0], -line[1], line[4], line[5]))
        rows = [
            [
                Cell(alert, name=True),
                Cell(severity or NOTHING, _state_of(severity)),
                Cell(str(times)),
                Cell(NOTHING if by_name else str(series)),
                Cell(str(max(1, round(total / 60)))),
                Cell(length(typical)),
            ]
            for times, total, typical, series, alert, severity in lines
        ]
        columns = [Column("Alert"), Column("Severity"), Column("Times", True), Column("Series", True),
                   Column("Minutes firing", True), Column("Typical length", True)]  # fmt: skip
        return self.table(columns, rows)

    def disks(self):
        """Usage of disks, and when they will be full."""
        found = self.answers["disks"]
        blocks = [Heading(3, "Disks"), *self.problems("disks")]
        if found is None:
            return blocks
        if not found:
            self.overview.append((WARN, "no file system metrics"))
            return [*blocks, Para("No file system metrics.", WARN)]
        rows, pressing = [], []
        for disk in found:
            days, used = disk["days_left"], disk["used"]
            by_days = BAD if days is not None and days < DISK_DAYS[1] else None
            by_days = by_days or (WARN if days is not None and days < DISK_DAYS[0] else None)
            by_use = self._disk_state(disk)
            if by_days or by_use:
                text = "{0} {1}: {2:.0f} % used".format(place(disk), disk["mountpoint"], used)
                text += ", full in {0}".format(_days(days)) if days is not None and days < DISK_DAYS[0] else ""
                pressing.append((BAD if BAD in (by_days, by_use) else WARN, text))
            rows.append(
                [
                    Cell(place(disk), name=True),
                    Cell(disk["mountpoint"], name=True),
                    Cell(size(disk["size"])),
                    Cell(size(disk["avail"])),
                    Cell("{0:.1f} %".format(used), by_use),
                    Cell(_change(disk["per_day"])),
                    Cell(_full_in(disk), by_days),
                    Cell(plot=_line(disk)),
                ]
            )
        pressing.sort(key=lambda entry: entry[0] != BAD)
        self.overview += pressing[:5]
        if len(pressing) > 5:
            self.overview.append((WARN, "{0} that are full or will be soon".format(
                plural(len(pressing) - 5, "more file system"))))  # fmt: skip
        if not pressing:
            self.overview.append((GOOD, "no disk is full within {0:.0f} days".format(DISK_DAYS[0])))
        longest = max(disk["span"] for disk in found)
        columns = [Column("Host"), Column("Mount point"), Column("Size", True), Column("Free", True),
                   Column("Used", True), Column("Change per day", True), Column("Full in", True),
                   Column("Used, last {0}".format(length(longest)) if longest else "Used")]  # fmt: skip
        return [*blocks, self.table(columns, rows)]

    def backups(self):
        """Age of backups."""
        found = self.answers["backups"]
        blocks = [Heading(3, "Backups"), *self.problems("backups")]
        if found is None:
            return blocks
        if not found:
            self.overview.append((WARN, "no backup metric"))
            text = "No backup metric: nothing reports backup_last_success_timestamp_seconds."
            return [*blocks, Para(text, WARN)]
        rows, states, bounds = [], [], self.marks["backup"]
        for backup in found:
            # As by the alert: a wrong clock may have written a time in the future.
            state = _mark(abs(backup["age"]) / 3600, bounds) or GOOD
            age = length(max(0, backup["age"])) if backup["age"] > -60 else "in the future"
            states.append(state)
            successes = backup["successes"]
            rows.append(
                [
                    Cell(backup["backup"] or NOTHING, name=bool(backup["backup"])),
                    Cell(place(backup), name=True),
                    Cell(self.at(backup["last"]) if backup["last"] > 0 else "never"),
                    Cell(age if backup["last"] > 0 else NOTHING, state),
                    Cell(NOTHING if successes is None else str(successes)),
                    *self._backup_details(backup),
                    Cell("metric missing", WARN) if backup["gone"] else Cell(),
                ]
            )
        ages = [backup["age"] for backup in found if backup["last"] > 0]
        oldest = length(max(ages)) if len(ages) == len(found) and max(ages) >= 0 else None
        text = plural(len(found), "backup")
        if bounds:
            old = len(states) - states.count(GOOD)
            text += ", {0} older than {1:g} h".format(old or "none", min(bounds.values()))
        text += ", the oldest {0}".format(oldest) if oldest else ""
        gone = sum(backup["gone"] for backup in found)
        text += ", {0} without a metric now".format(gone) if gone else ""
        states += [WARN] * bool(gone)
        damaged = sum(backup["check_success"] == 0 for backup in found)
        text += ", {0} of a repository with errors".format(damaged) if damaged else ""
        states += [BAD] * bool(damaged)
        self.overview.append((next((state for state in (BAD, WARN) if state in states), GOOD), text))
        columns = [Column("Backup"), Column("Host"), Column("Last success"), Column("Age", True),
                   Column("Successes in the range", True), Column("Size", True), Column("Last check"),
                   Column("Restore rehearsed"), Column("")]  # fmt: skip
        return [*blocks, self.table(columns, rows), *self._rehearsals()]

    def _rehearsals(self):
        """What the last rehearsal of each backup has restored, and compared with the running service."""
        rows = []
        for one in self.answers["rehearsals"]:
            age = one["rehearsed"] - one["taken"] if one["rehearsed"] and one["taken"] else None
            compared = "; ".join(
                "{0}: {1} and {2}".format(
                    item["what"], *(NOTHING if item[of] is None else figure(item[of]) for of in ("restored", "running"))
                )
                for item in one["items"]
            )
            rows.append(
                [
                    Cell(one["backup"], name=True),
                    Cell(one["service"], name=True),
                    Cell(self.at(one["rehearsed"]) if one["rehearsed"] else NOTHING),
                    Cell(one["snapshot"] or NOTHING, name=True),
                    Cell(NOTHING if age is None else length(max(0, age))),
                    Cell(NOTHING if one["size"] is None else size(one["size"])),
                    Cell(NOTHING if one["seconds"] is None else "{0:.0f} s".format(one["seconds"])),
                    Cell(compared or NOTHING),
                ]
            )
        columns = [Column("Backup"), Column("Service"), Column("Restore rehearsed"), Column("Snapshot"), Column("Its age then", True),
                   Column("Restored", True), Column("In", True), Column("Compared: restored and running")]  # fmt: skip
        return [self.table(columns, rows)] if rows else []

    def _backup_details(self, backup):
        """Size, last check and last rehearsal of a backup, where it has metrics for them."""
        checked, rehearsed = backup["checked"], backup["rehearsed"]
        failed = backup["check_success"] == 0
        return [
            Cell(NOTHING if backup["size"] is None else size(backup["size"])),
            Cell("found errors", BAD) if failed else Cell(self.at(checked) if checked else NOTHING),
            Cell(self.at(rehearsed) if rehearsed else NOTHING),
        ]

    def monitoring(self):
        """Monitoring itself."""
        checks = self.answers["checks"]
        blocks = [Heading(3, "Monitoring itself"), *self.problems("monitoring")]
        bad = [check["trouble"] for check in checks if check["bad"]]
        if bad:
            self.overview.append((BAD, "monitoring itself: {0}".format(", ".join(bad))))
        else:
            self.overview.append((GOOD, "monitoring itself is healthy"))
        rows = []
        for check in sorted(checks, key=lambda check: not check["bad"]):
            state = BAD if check["bad"] else DIM if check["value"] is None else None
            rows.append([Cell(check["check"]), Cell(_measured(check), state), Cell(_places(check))])
        return [*blocks, self.table([Column("Check"), Column("Value", True), Column("Where")], rows)]

    def thresholds(self):
        """Thresholds compared with history."""
        found = self.answers["thresholds"]
        blocks = [Heading(3, "Thresholds compared with history"), *self.problems("thresholds")]
        if not found["checked"] and not found["left_out"]:
            return [*blocks, Para("There are no thresholds.", DIM)]
        oldest, end = self.answers["oldest"], self.answers["end"]
        longest = max(found["range"], found["percentile_range"])
        if oldest is not None and end - oldest < 0.95 * longest:
            text = "The history covers only {0} of the requested {1}."
            blocks.append(Para(text.format(length(end - oldest), span(longest)), DIM))
        lines = sorted(
            found["checked"],
            key=lambda line: (-(line["times"] or 0), -(line["firing"] or 0), _rank(line["severity"]), line["alert"]),
        )
        if lines:
            columns = [Column("Alert"), Column("Severity"), Column("Threshold"),
                       Column("Would have fired in {0}".format(span(found["range"]))), Column("Firing", True),
                       Column("99 % of {0}".format(span(found["percentile_range"])), True), Column("Worst series"),
                       Column("Suggested threshold", True)]  # fmt: skip
            blocks.append(self.table(columns, [_threshold(line, found["range"]) for line in lines]))
            text = (
                "A suggested threshold is the value that the worst series stayed within for 99 % of the time: with it, an alert"
                " without `for` fires for about 15 minutes per day."
            )
            blocks.append(Para(text, DIM))
            if any(_short(line) for line in lines):
                blocks.append(Para("With less than seven days of history, no threshold is suggested.", DIM))
        if found["left_out"]:
            whys = {}
            for rule in found["left_out"]:
                names = whys.setdefault(rule["why"], [])
                if rule["alert"] not in names:
                    names.append(rule["alert"])
            entries = [(DIM, "{0}: {1}".format(why, ", ".join(names))) for why, names in sorted(whys.items())]
            blocks += [Para("Not checked, because their expression is not a comparison with a number:"),
                       Items(entries)]  # fmt: skip
        return blocks


def _first(lines, noun, count=8):
    """The first entries of a list, and how many there are besides."""
    more = len(lines) - count
    return [*lines[:count], *([(None, "{0} {1}".format(more, noun))] if more > 0 else [])]


def _target_changes(verb, jobs, state):
    """Targets that were added or removed, one line for each job."""
    lines = []
    for job in jobs or ():
        names = [place(entry) for entry in job["instances"]]
        rest = job["count"] - len(names)
        text = "{0} {1} job {2}: {3}".format(plural(job["count"], "target"), verb, job["job"], ", ".join(names))
        lines.append((state, text + (", and {0} more".format(rest) if rest > 0 else "")))
    return _first(lines, "more jobs")


def _rank(severity):
    return _SEVERITIES.get(severity, 3)


def _state_of(severity):
    return {"critical": BAD, "warning": WARN}.get(severity, DIM)


def _days(days):
    if days < 2:
        return length(days * 86400)
    return "{0:.1f} days".format(days) if days < 10 else "{0:.0f} days".format(days)


def _change(per_day):
    if per_day is None:
        return NOTHING
    if abs(per_day) < 1 << 20:
        return "steady"
    return ("+" if per_day > 0 else "") + size(per_day)


def _mark(value, bounds):
    """The state of a value by the thresholds of each severity; None below all of them."""
    passed = [severity for severity, bound in bounds.items() if value > bound]
    return (BAD if "critical" in passed else WARN) if passed else None


def _full_in(disk):
    if disk["per_day"] is None:
        return "too little history"
    days = disk["days_left"]
    if days is None or days > 365:
        return NOTHING if days is None else "> 1 year"
    return _days(days) if days > 0 else "full"


def _line(disk):
    if len(disk["history"]) < 2:
        return None
    values = [value for dummy, value in disk["history"]]
    text = "{0} {1}: from {2:.1f} % to {3:.1f} % used, between {4:.1f} % and {5:.1f} %"
    return Line(
        disk["history"],
        text.format(place(disk), disk["mountpoint"], values[0], values[-1], min(values), max(values)),
    )


def _measured(check):
    value = check["value"]
    if check["unit"] == "yes":
        return "yes" if value else "no" if check["bad"] else "not measured"
    if value is None:
        return "not measured"
    if check["unit"] == "bytes":
        return size(value)
    return "{0} of {1}".format(figure(value), check["of"]) if "of" in check else figure(value)


def _places(check):
    texts = []
    for entry in check["where"]:
        labels = _by_host({name: text for name, text in entry.items() if name != "value"})
        text = " ".join(str(labels[name]) for name in sorted(labels, key=lambda name: (name != "instance", name)))
        value = entry.get("value")
        texts.append("{0} ({1})".format(text, figure(value)) if value and check["unit"] == "count" and text else text)
    return ", ".join(text for text in texts if text)


def _short(line):
    return line["percentile"] is not None and line["proposal"] is None


def _threshold(line, whole):
    lower = line["op"].startswith("<")
    bound = "{0} {1}".format(line["op"], figure(line["threshold"]))
    bound += " for {0}".format(length(line["for"])) if line["for"] else ""
    times, firing = line["times"], line["firing"]
    if times is None:
        often, state = "request failed", DIM
    elif not times:
        often, state = "never", None
    else:
        often = plural(times, "time")
        if not line["each"]:
            often += " (any of {0} series)".format(line["series"])
        # More than once a day is noise, or a problem that nobody fixes.
        state = WARN if times > whole / 86400 else None
    kept, proposed = Cell(NOTHING), Cell(NOTHING)
    if line["percentile"] is not None:
        value = line["percentile"]
        beyond = value < line["threshold"] if lower else value > line["threshold"]
        kept = Cell("{0} {1}".format("≥" if lower else "≤", figure(value)), WARN if beyond else None)
        history = length(line["hours"] * 3600)
        if _short(line):
            proposed = Cell("only {0} of history".format(history), DIM)
        elif math.isfinite(value):
            proposed = Cell("{0} {1}, from {2}".format(line["op"], figure(line["proposal"]), history))
    elif line["series"] == 0:
        kept = Cell("no data", DIM)
    return [
        Cell(line["alert"], name=True),
        Cell(line["severity"] or NOTHING, _state_of(line["severity"])),
        Cell(bound),
        Cell(often, state),
        Cell(length(firing) if firing else NOTHING),
        kept,
        Cell(where(line.get("labels") or {}), name=True),
        proposed,
    ]
