# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every query of the dashboards can be read by promtool, in the place of a recording rule's expression."""

from __future__ import annotations

import json
import subprocess

from lab import dashboards


def test_every_query_can_be_read(promtool, tmp_path):
    queries = [*dashboards.panels(), *dashboards.others()]
    # promtool wants no rule twice.
    rules = [
        {"record": f"query:{number}", "expr": dashboards.filled(query.expr)} for number, query in enumerate(queries)
    ]
    path = tmp_path / "rules.json"
    path.write_text(json.dumps({"groups": [{"name": "dashboards", "rules": rules}]}), encoding="utf-8")
    answer = subprocess.run(
        [promtool, "check", "rules", str(path)], capture_output=True, text=True, check=False, timeout=60
    )
    assert answer.returncode == 0, answer.stdout + answer.stderr
    assert f"{len(queries)} rules found" in answer.stdout
