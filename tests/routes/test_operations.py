"""drill.yml, silence.yml and the role silenced_deployment, against a real Alertmanager and the sink."""

from __future__ import annotations

import json
import os
import re

import pytest
import yaml
from conftest import Alertmanager

from lab import play, sink
from lab.common import ROOT

# They share one Alertmanager.
pytestmark = pytest.mark.xdist_group("operations")

DECLARATION = """
channels:
  monitoring: {{kind: slack, api_url: "{url}/slack/monitoring"}}
  warnings: {{kind: slack, api_url: "{url}/slack/warnings"}}
  page: {{kind: pagerduty, routing_key: page}}
  deadmansswitch: {{kind: webhook, url: "{url}/webhook/deadmansswitch"}}
default: {{wait: 1s, interval: 2s}}
watchdog: {{interval: 1s}}
failures: {{wait: 1s}}
critical: [{{channels: [monitoring], wait: 1s}}, {{channels: [page], wait: 3s}}]
warning: {{wait: 1s}}
"""


class Site:
    """A running Alertmanager as the inventory knows it."""

    def __init__(self, release, folder, target):
        self.sink, self.folder = target, folder
        self.manager = Alertmanager(release, folder, DECLARATION, target)
        self.variables = {
            "ansible_connection": "local",
            "ansible_python_interpreter": "{{ ansible_playbook_python }}",
            "alertmanager_version": release[0],
            "alertmanager_escalation": yaml.safe_load(DECLARATION.format(url=target.url)),
            "alertmanager_web_listen_address": f"127.0.0.1:{self.manager.port}",
            "alertmanager_web_external_url": self.manager.url,
            "alertmanager_drill_patience": 5,
            "alertmanager_silence_matchers": ['service="api"', 'severity=~"warning|info"'],
        }

    def play(self, playbook: str, *arguments: str, **variables) -> tuple[int, str]:
        """Run a playbook: its exit status and its output."""
        inventory = self.folder / "inventory.json"
        hosts = {"alertmanager": {"hosts": {"subject": {}}, "vars": {**self.variables, **variables}}}
        inventory.write_text(json.dumps({"all": {"children": hosts}}), encoding="utf-8")
        # For the playbooks of the tests, which do not lie beside the collection.
        added = {"ANSIBLE_COLLECTIONS_PATH": str(ROOT / "collections"), "ANSIBLE_NOCOLOR": "1"}
        argv = ["ansible-playbook", playbook, "-i", str(inventory), *arguments]
        ended = play.run(argv, ROOT, {**os.environ, **added}, timeout=120)
        return ended.status, ended.output

    def silences(self) -> list[dict]:
        """The silences that last."""
        found = json.loads(self.manager.ask("/api/v2/silences"))
        return [one for one in found if one["status"]["state"] == "active"]


@pytest.fixture(scope="module")
def site(releases, tmp_path_factory):
    """One Alertmanager for all tests here."""
    with sink.serve() as target:
        one = Site(releases["new"], tmp_path_factory.mktemp("operations"), target)
        try:
            one.manager.start()
            yield one
        finally:
            one.manager.kill()


def changed(output: str) -> int:
    """How many tasks changed something."""
    return int(re.search(r"changed=(\d+)", output)[1])


def test_a_drill_reaches_every_channel(site):
    status, output = site.play("drill.yml")
    assert status == 0, output
    table = [re.split(r"  +", line.strip(" -'")) for line in output.splitlines() if "sent after" in line]
    assert sorted({(row[-3], row[-2]) for row in table}) == [
        ("all", "pagerduty"),
        ("all", "slack"),
        ("deadmansswitch", "webhook"),
        ("monitoring", "slack"),
        ("page", "pagerduty"),
        ("warnings", "slack"),
    ], output
    for channel in ("monitoring", "warnings", "page"):
        assert any("This is a drill" in one.title for one in site.sink.of(channel)), site.sink.told()
    assert [one.title for one in site.sink.of("deadmansswitch")] == ["Watchdog"]
    # They are over: what is told of next is their end.
    assert json.loads(site.manager.ask("/api/v2/alerts?active=true")) == []


def test_a_drill_in_check_mode_sends_nothing(site):
    before = len(site.sink.messages)
    status, output = site.play("drill.yml", "--check")
    assert status == 0 and "due after 3 s" in output, output
    assert len([one for one in site.sink.messages[before:] if "RESOLVED" not in one.title]) == 0


def test_a_channel_that_is_broken_makes_the_drill_red(site):
    site.sink.broken.add("page")
    status, output = site.play("drill.yml", alertmanager_drill_skip=["all", "deadmansswitch"])
    site.sink.broken.clear()
    assert status != 0
    assert "not all notifications were sent: page (pagerduty)" in output, output
    assert re.search(r"page +pagerduty +FAILED: \d+ of \d+ requests", output), output
    assert re.search(r"deadmansswitch +- +omitted: skipped", output), output


def test_a_drill_of_nothing_is_red(site):
    status, output = site.play("drill.yml", alertmanager_escalation={})
    assert status != 0 and "nothing was sent: no route has a receiver with integrations" in output, output
    assert re.search(r"default +- +omitted: has no integrations", output), output


def test_a_silence_is_made_once_and_ended(site):
    status, output = site.play("silence.yml", "--check", "--diff")
    assert (status, changed(output), site.silences()) == (0, 1, []), output
    assert 'service=\\"api\\"' in output or 'service="api"' in output
    assert [changed(site.play("silence.yml")[1]) for _again in range(2)] == [1, 0]
    (silence,) = site.silences()
    status, output = site.play("silence.yml", alertmanager_silence_duration="2h")
    assert (changed(output), [one["id"] for one in site.silences()]) == (1, [silence["id"]]), output
    ended = [changed(site.play("silence.yml", alertmanager_silence_state="absent")[1]) for _again in range(2)]
    assert (ended, site.silences()) == ([1, 0], [])


def test_a_silence_for_everything_is_refused(site):
    status, output = site.play("silence.yml", alertmanager_silence_matchers=['service=~".*"'])
    assert status != 0 and "these matchers would silence everything" in output


@pytest.mark.parametrize("ends", ["green", "red"])
def test_a_deployment_is_silent_and_its_silence_is_ended(site, ends):
    (site.folder / "deploy.yml").write_text(
        f"""
- ansible.builtin.uri: {{url: "{site.manager.url}/api/v2/silences"}}
  register: found
- ansible.builtin.debug: {{msg: "meanwhile {{{{ found.json | selectattr('status.state', 'eq', 'active') | length }}}}"}}
- ansible.builtin.assert: {{that: "{"true" if ends == "green" else "false"}"}}
""",
        encoding="utf-8",
    )
    (site.folder / "play.yml").write_text(
        f"""
- hosts: all
  gather_facts: false
  tasks:
    - ansible.builtin.include_role: {{name: vigil.monitoring.silenced_deployment}}
      vars:
        silenced_deployment_tasks: "{{{{ playbook_dir }}}}/deploy.yml"
        silenced_deployment_matchers: [service="api"]
        silenced_deployment_alertmanager_url: {site.manager.url}
""",
        encoding="utf-8",
    )
    status, output = site.play(str(site.folder / "play.yml"))
    assert (status == 0) == (ends == "green"), output
    assert "meanwhile 1" in output, output
    assert site.silences() == []
