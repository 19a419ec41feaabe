# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Write the dashboards that the role grafana deploys.

usage: python -m dashboards [--check], or `make docs`

With --check nothing is written; the status is 1 when a file is not what its source gives.
"""

from __future__ import annotations

import pathlib
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "collections"))

from . import alerts, application, containers, database, fleet, services, stack, system
from .build import rendered

# Folders of Grafana are folders here.
FOLDER = ROOT / "bundled" / "dashboards" / "Monitoring"


def main() -> int:
    """Write the files, or say which are out of date."""
    check = sys.argv[1:] == ["--check"]
    if sys.argv[1:] and not check:
        sys.exit(__doc__)
    made = {
        FOLDER / f"{module.DASHBOARD.uid}.json": rendered(module.DASHBOARD)
        for module in (fleet, system, alerts, application, database, services, containers, stack)
    }
    stale = [path for path, text in made.items() if not path.exists() or path.read_text(encoding="utf-8") != text]
    # One that has no source any more.
    orphans = sorted(set(FOLDER.glob("*.json")) - set(made))
    for path in [*stale, *orphans]:
        name = path.relative_to(ROOT)
        if check:
            print(f"{name} is not what tools/dashboards gives; run `make docs`")
        elif path in made:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(made[path], encoding="utf-8")
            print(f"wrote {name}")
        else:
            path.unlink()
            print(f"removed {name}")
    return 1 if check and (stale or orphans) else 0


if __name__ == "__main__":
    sys.exit(main())
