"""What tests of several folders share: the demo's stack, an application under load with everything that monitors it.

Those of live and browser run in one session, and it is deployed once for both.
"""

from __future__ import annotations

import os
import time

import pytest

from lab import identity, mirror, s3
from lab import stack as lab_stack

NOT_RUN, NO_S3, NO_PROVIDER = "no Grafana", "no server of S3", "no OpenID provider"
OUT_OF_TIME = "the minutes of VIGIL_TEST_MINUTES are over"


@pytest.fixture(scope="session")
def stack(tmp_path_factory):
    """The stack, deployed once for all tests; each leaves it as it was."""
    with lab_stack.stack(tmp_path_factory.mktemp("stack")) as made:
        yield made


@pytest.fixture(scope="session")
def troubled(stack):
    """The stack with something to see: an Alertmanager down, messages that do not arrive, a deployment, customers' errors."""
    production = stack.production
    production.run("systemctl stop alertmanager sink")
    try:
        production.run("systemctl restart application")
        stack.application.load(errors=0.03)
        failed = 'alertmanager_notifications_failed_total{integration="slack"}'
        # Minutes are counted at their beginning.
        firing = 'sum_over_time(ALERTS{alertname="TargetDown", alertstate="firing"}[10m:1m])'
        stack.wait("a minute of an alert", lambda: stack.query(firing), within=120)
        stack.wait("a message that did not arrive", lambda: stack.query(f"sum({failed}) > 0"), within=60)
        stack.wait(
            "a start of the application",
            lambda: stack.query("resets(http_request_duration_highr_seconds_count[10m]) > 0"),
            within=30,
        )
        errors = 'sum(increase(http_requests_total{status=~"5.."}[10m])) > 0'
        stack.wait("customers' errors", lambda: stack.query(errors), within=30)
        stack.wait("a backup", lambda: stack.query("backup_last_success_timestamp_seconds"), within=60)
        yield stack
    finally:
        stack.application.load()
        production.run("systemctl start alertmanager sink")


@pytest.fixture(scope="session")
def grafana_versions():
    """The versions of Grafana in the mirror, the oldest first; without any, the test is skipped."""
    found = mirror.grafana()
    if not found:
        pytest.skip(NOT_RUN)
    return found


@pytest.fixture(scope="session")
def s3_server():
    """The program of a server of S3; where it cannot be built, the test is skipped."""
    found = s3.SERVER.path()
    if found is None:
        pytest.skip(NO_S3)
    return found


@pytest.fixture(scope="session")
def provider_program(grafana_versions):
    """The program of an OpenID provider for Grafana; where it cannot be built, the test is skipped."""
    found = identity.SERVER.path()
    if found is None:
        pytest.skip(NO_PROVIDER)
    return found


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item):
    """Begin no test of faults after the end of the time that the run has, where it has one; they are the longest by far."""
    end = float(os.environ.get("VIGIL_TEST_END", "inf"))
    if "/tests/faults/" in str(item.path) and time.time() > end:
        pytest.skip(OUT_OF_TIME)


def pytest_terminal_summary(terminalreporter):
    """A line that nobody overlooks for each reason for which scenarios were left out."""
    reasons = {
        NOT_RUN: f"scenarios of Grafana: {mirror.without_grafana()}",
        NO_S3: f"scenarios of S3: {s3.SERVER.missing()}",
        NO_PROVIDER: f"scenarios of OAuth: {identity.SERVER.missing()}",
        OUT_OF_TIME: f"tests: {OUT_OF_TIME}; run them with more, or without it",
    }
    for reason, words in reasons.items():
        left_out = [report for report in terminalreporter.stats.get("skipped", ()) if reason in str(report.longrepr)]
        if left_out:
            names = ", ".join(sorted({report.nodeid.rpartition("::")[2].partition("[")[0] for report in left_out}))
            terminalreporter.section("NOT RUN", red=True)
            terminalreporter.write_line(f"SKIPPED {len(left_out)} {words}. They are {names}", red=True)
