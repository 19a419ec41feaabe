# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""`verify.yml` alone, which knows nothing of what an earlier run did, verifies every service in full.

Before the tests of dashboards, whose fixture stops an Alertmanager for the rest of the session.
"""

from __future__ import annotations

import re

from lab import play, stages
from lab.common import ROOT


def test_verification_alone_leaves_no_doubt(stack):
    """The exporter of a database whose role is managed as well."""
    done = play.run(stack.command("verify.yml"), ROOT, stages.environment())
    assert done.green, done.output
    assert re.search(r"MONITORING: (\d+) of \1 services", done.output), done.output
    assert not re.search(r"(?m)^ *\? ", done.output), done.output
