# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What programs say of their command lines, as real ones said it."""

from __future__ import annotations

import pytest
from ansible_collections.vigil.monitoring.plugins.module_utils._process import (
    about_features,
    refused_arguments,
    unknown_flag,
)

# Prometheus 2.53 and 3.5, Alertmanager 0.33, when they were asked for features and stopped before they began.
OLD = """\
ts=2026-11-26T21:10:57.670Z caller=main.go:233 level=warn msg="This option for --enable-feature is now permanently enabled and therefore a no-op." option=promql-at-modifier
ts=2026-11-26T21:10:57.670Z caller=main.go:235 level=warn msg="Unknown option for --enable-feature" option=nonsense
ts=2026-11-26T21:10:57.670Z caller=main.go:223 level=info msg="Experimental native histogram support enabled." global.scrape_protocols="[x]"
ts=2026-11-26T21:10:57.670Z caller=main.go:527 level=error msg="Error loading config (--config.file=/dev/null/none)" file=/dev/null/none
"""  # noqa: E501
NEW = """\
time=2026-11-26T21:11:02.252Z level=WARN source=main.go:251 msg="Unknown option for --enable-feature" option=promql-at-modifier
time=2026-11-26T21:11:02.252Z level=INFO source=main.go:209 msg="Enabled automatic configuration file reloading." interval=30s
time=2026-11-26T21:11:02.252Z level=ERROR source=main.go:580 msg="Error loading config (--config.file=/dev/null/none)"
"""
REFUSED = """\
time=2026-11-26T21:11:02.431Z level=INFO source=main.go:197 msg="Starting Alertmanager" version="(version=0.33.1)"
time=2026-11-26T21:11:02.431Z level=ERROR source=main.go:204 msg="error parsing the feature flag list" err="unknown option 'nonsense'"
"""


@pytest.mark.parametrize(
    ("output", "warnings", "refusals"),
    [
        (OLD, ['permanently enabled and therefore a no-op." option=promql-at-modifier', "option=nonsense"], []),
        (NEW, ["option=promql-at-modifier"], []),
        (REFUSED, [], ['error parsing the feature flag list" err="unknown option \'nonsense\'"']),
        ("", [], []),
        ("node_exporter: error: unrecognized log level trace, try --help", [], []),
    ],
)
def test_features_are_judged_by_the_program_itself(output, warnings, refusals):
    for found, words in zip(about_features(output), (warnings, refusals)):
        assert len(found) == len(words)
        for line, word in zip(found, words):
            assert line.startswith("msg=") and word in line


@pytest.mark.parametrize(
    ("output", "said"),
    [
        ("node_exporter: error: unrecognized log level trace, try --help", "unrecognized log level trace"),
        ("prometheus: error: enum value must be one of debug,info, got 'x'", "enum value must be one of debug,info, got 'x'"),
        ('invalid value "bogus" for flag -disable_metrics: unsupported metric',
         'invalid value "bogus" for flag -disable_metrics: unsupported metric'),
        ("Error parsing command line arguments: unrecognized log level loud", "unrecognized log level loud"),
        ("flag provided but not defined: -nonsense", "flag provided but not defined: -nonsense"),
        ('time=x level=ERROR msg="Error loading config" err="open /dev/null/none"', None),
        ("prometheus, version 3.5.3", None),
    ],
)  # fmt: skip
def test_what_a_program_says_of_arguments_that_it_does_not_take(output, said):
    assert refused_arguments("some line before\n" + output) == said


def test_an_unknown_flag_is_named():
    assert unknown_flag("prometheus: error: unknown long flag '--web.no-such-flag', try --help") == "--web.no-such-flag"
