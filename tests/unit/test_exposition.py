# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Single samples of a page of metrics."""

from __future__ import annotations

import pytest
from ansible_collections.vigil.monitoring.plugins.module_utils._exposition import Page

PAGE = """\
# HELP plain Something.
# TYPE plain gauge
plain 3
plain_total{} 4
timed{a="b"} 1.5e+3 1712345678901
group{file="/etc/x y/{1}.yml;g",name="say \\"no\\"\\n"} 2
group{file="other"} 5
cut_off{a="b"
without_value
"""


@pytest.mark.parametrize(
    ("name", "samples"),
    [
        ("plain", [({}, 3.0)]),
        ("plain_total", [({}, 4.0)]),
        ("timed", [({"a": "b"}, 1500.0)]),
        ("group", [({"file": "/etc/x y/{1}.yml;g", "name": 'say "no"\n'}, 2.0), ({"file": "other"}, 5.0)]),
        ("cut_off", []),
        ("without_value", []),
        ("pl", []),
        ("#", []),
    ],
)
def test_samples(name, samples):
    assert Page(PAGE).samples(name) == samples


def test_sums():
    page = Page(PAGE)
    assert page.value("group") == 7.0 and page.value("nothing") is None
    assert page.by("group", "file") == {("/etc/x y/{1}.yml;g",): 2.0, ("other",): 5.0}
