# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which time series end with a new configuration, as their job, their instance or a label of theirs has another name.

What is compared are the jobs and targets that a configuration names itself; what is found by service discovery is not known here.
"""

from __future__ import annotations

# As many targets are named in a sentence.
NAMED = 3


def ended(old, new):
    """What ends, one sentence each; none where nothing is known of the configuration before.

    :param old: job -> dict with ``targets``, address -> labels, and ``relabelling``, a digest of its rules.
    :param new: likewise.
    """
    if not old or new is None:
        return []
    renamed = _renamed(old, new)
    found = []
    for job in sorted(set(old) - set(new)):
        if job in renamed:
            found.append("job {0} is now called {1} ({2})".format(job, renamed[job], _some(old[job]["targets"])))
        else:
            found.append("job {0} is gone ({1})".format(job, _some(old[job]["targets"])))
    for job in sorted(old):
        after = new.get(renamed.get(job, job))
        if after:
            found += ["job {0}: {1}".format(renamed.get(job, job), text) for text in _targets(old[job], after)]
    return found


def _renamed(old, new):
    """Job that is gone -> the new job that has most of its targets."""
    found, fresh = {}, sorted(set(new) - set(old))
    for job in sorted(set(old) - set(new)):
        targets = set(old[job]["targets"])
        shared = {other: len(targets.intersection(new[other]["targets"])) for other in fresh}
        best = max(fresh, key=shared.get, default=None)
        if best and targets and 2 * shared[best] >= len(targets):
            found[job] = best
            fresh.remove(best)
    return found


def _targets(old, new):
    """What ends of a job that is there before and after."""
    before, after = old["targets"], new["targets"]
    gone, fresh = sorted(set(before) - set(after)), set(after) - set(before)
    moved = {}
    for address in gone:
        host = address.rpartition(":")[0]
        match = next((one for one in sorted(fresh) if host and one.rpartition(":")[0] == host), None)
        if match:
            fresh.discard(match)
            ports = address.rpartition(":")[2], match.rpartition(":")[2]
            moved.setdefault(ports, []).append(address)
    for (port, other), addresses in sorted(moved.items()):
        yield "port {0} is now {1} ({2})".format(port, other, _some(addresses))
    left = [address for address in gone if not any(address in addresses for addresses in moved.values())]
    if left:
        yield "no longer scraped: {0}".format(_some(left))
    yield from _labels(before, after)
    if old["relabelling"] != new["relabelling"]:
        yield "its relabelling changed, and with it maybe the labels of {0}".format(_some(before))


def _labels(before, after):
    """What ends as labels of targets change."""
    changes = {}
    for address in sorted(set(before) & set(after)):
        one, other = before[address], after[address]
        for name in sorted(set(one) | set(other)):
            if one.get(name) != other.get(name):
                changes.setdefault((name, one.get(name), other.get(name)), []).append(address)
    for (name, one, other), addresses in sorted(changes.items(), key=lambda pair: (pair[0][0], str(pair[0]))):
        if one is None:
            yield "label {0}={1} is new ({2})".format(name, other, _some(addresses))
        elif other is None:
            yield "label {0}={1} is gone ({2})".format(name, one, _some(addresses))
        else:
            yield "label {0}={1} is now {0}={2} ({3})".format(name, one, other, _some(addresses))


def _some(addresses):
    names = sorted(addresses)
    more = " and {0} more".format(len(names) - NAMED) if len(names) > NAMED else ""
    return (", ".join(names[:NAMED]) + more) or "without targets of its own"
