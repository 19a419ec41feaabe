# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A synthetic alert for each route of a configuration: its labels, and the receivers that it must reach."""

from __future__ import annotations

import re

from ansible_collections.vigil.monitoring.plugins.module_utils._alertmanager_api import seconds
from ansible_collections.vigil.monitoring.plugins.module_utils._silence import Matcher, parts, read

# Labels that make the alert of a drill unique, unless a matcher requires another value.
UNIQUE = {"alertname": "Drill", "service": "drill"}
INHERITED = {"receiver": "", "group_by": [], "group_wait": "30s", "group_interval": "5m"}


class _Node:
    """A route with what it inherits.

    :ivar path: the matchers of the route and of those above it.
    :ivar problem: why nobody but Alertmanager can tell which alerts it gets; None where that is known.
    """

    def __init__(self, route, above=None):
        given = above.options if above else INHERITED
        self.options = {key: route.get(key) or given[key] for key in INHERITED}
        self.own = _matchers(route)
        self.path = (above.path if above else []) + self.own
        self.problem = next((matcher for matcher in self.path if matcher.problem()), None)
        self.goes_on = bool(route.get("continue"))
        self.children = [_Node(child, self) for child in route.get("routes") or []]

    def every(self):
        """This route and all below it."""
        yield self
        for child in self.children:
            yield from child.every()

    def reached(self, labels):
        """The routes that match an alert with these labels, as Alertmanager selects them."""
        if self.problem or not all(_matches(matcher, labels) for matcher in self.own):
            return []
        found = []
        for child in self.children:
            below = child.reached(labels)
            found += below
            if below and not child.goes_on:
                break
        return found or [self]


def _matchers(route):
    """The matchers of a route, in each of their three notations."""
    given = route.get("matchers") or []
    given = [given] if isinstance(given, str) else given
    found = [read(part) for text in given for part in parts(text)]
    found += [Matcher(name, str(value), False, True) for name, value in (route.get("match") or {}).items()]
    return found + [Matcher(name, str(value), True, True) for name, value in (route.get("match_re") or {}).items()]


def _matches(matcher, labels):
    value = labels.get(matcher.name, "")
    found = re.fullmatch(matcher.value, value) is not None if matcher.regex else value == matcher.value
    return found == matcher.equal


def _labels(node):
    """Labels that may match a route; the caller checks whether they do."""
    labels = dict(UNIQUE)
    for matcher in node.path:
        if not matcher.equal:
            continue
        if not matcher.regex:
            labels[matcher.name] = matcher.value
            continue
        # The first of a list of names; for a pattern that matches anything, the value that is set, or a word.
        words = [labels.get(matcher.name, ""), *re.split(r"[|()^$]+", matcher.value), "drill"]
        fitting = [word for word in words if word and re.fullmatch(matcher.value, word)]
        if fitting:
            labels[matcher.name] = fitting[0]
    return {name: value for name, value in labels.items() if value}


def _integrations(receivers, name):
    """The number of messages of each kind that a receiver sends."""
    receiver = next((one for one in receivers if one.get("name") == name), {})
    return {
        key[: -len("_configs")]: len(configs)
        for key, configs in receiver.items()
        if key.endswith("_configs") and configs
    }


def _step(node, receivers, unique):
    by = node.options["group_by"]
    alone = "..." in by or any(name in by for name in unique)
    # In a group that exists already, an alert waits for the group's next message.
    wait = seconds(node.options["group_wait"]) + (0 if alone else seconds(node.options["group_interval"]))
    receiver = node.options["receiver"]
    return {"receiver": receiver, "wait": wait, "integrations": _integrations(receivers, receiver)}


def alertmanager_drills(config, skip=()):
    """The drills for a configuration.

    :param config: ``alertmanager.yml`` as a structure.
    :param skip: names of receivers; a drill that would reach one of them is omitted.
    :returns: dict with ``drills``, a list of dicts with ``labels``, ``unique`` (names of the labels that get
        another value in each run) and ``steps`` (``receiver``, ``wait`` in seconds, ``integrations`` with their counts); and
        ``left_out``, the receivers of routes that no drill reaches, with the reason.
    """
    root = _Node(config["route"])
    drills, left_out, seen = [], {}, set()
    for node in root.every():
        name = node.options["receiver"]
        if node.problem:
            left_out[name] = "Python cannot tell what {0} matches".format(node.problem)
            continue
        labels = _labels(node)
        reached = root.reached(labels)
        if node not in reached:
            if not node.children:
                left_out[name] = "no labels were found that match only this route"
            continue
        if frozenset(map(id, reached)) in seen:
            continue
        seen.add(frozenset(map(id, reached)))
        names = [one.options["receiver"] for one in reached]
        if set(names) & set(skip):
            left_out.update(dict.fromkeys(names, "skipped"))
            continue
        unique = [label for label, value in UNIQUE.items() if labels.get(label) == value]
        steps = [_step(one, config["receivers"], unique) for one in reached]
        if any(step["integrations"] for step in steps):
            drills.append({"labels": labels, "unique": unique, "steps": steps})
        else:
            left_out.update(dict.fromkeys(names, "has no integrations"))
    drilled = {step["receiver"] for drill in drills for step in drill["steps"]}
    return {"drills": drills, "left_out": {name: why for name, why in left_out.items() if name not in drilled}}
