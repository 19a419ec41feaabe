"""What is given is used or refused: files wherever the command is given, features that only the binary knows, facts."""

from __future__ import annotations

import json

from lab import play

# As an inventory has it, which Ansible renders first.
RAW = '{%% raw %%}{{ template "%s" . }}{%% endraw %%}'
RULE = "groups: [{{name: {0}, rules: [{{record: 'own:{0}', expr: '1'}}]}}]\n"
RULES = ("a.rule", "b.alerts", "c.yml")
MESSAGE = '{{ define "own.title" }}{{ .CommonLabels.alertname }}{{ end }}\n'


def loaded(site) -> set[str]:
    """The names of the rule groups that Prometheus has."""
    said = site.host.run("curl -fsS http://127.0.0.1:9090/api/v1/rules").stdout
    return {group["name"] for group in json.loads(said)["data"]["groups"]}


def test_files_and_features_are_used_as_given(site, tmp_path_factory):
    """Beside the inventory, whatever they are called; the same from another directory; a slip changes nothing."""
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    for folder in (site.folder, elsewhere):
        (folder / "rules").mkdir()
    for name in RULES:
        (site.folder / "rules" / name).write_text(RULE.format(name[0]))
    # Where the command is given counts for nothing.
    (elsewhere / "rules" / "z.yml").write_text(RULE.format("z"))
    (site.folder / "msg").mkdir()
    (site.folder / "msg" / "own.html").write_text(MESSAGE)
    (site.folder / "targets").mkdir()
    (site.folder / "targets" / "own.json").write_text(json.dumps([{"targets": ["127.0.0.1:9100"]}]))
    receiver = {"name": "default", "webhook_configs": [{"url": "http://127.0.0.1:9/"}]}
    slack = {"api_url": "http://127.0.0.1:9/", "channel": "x", "title": RAW % "own.title"}
    site.variables |= {
        "prometheus_alert_rules_files": ["rules/*"],
        "prometheus_static_targets_files": ["targets/*.json"],
        "alertmanager_template_files": ["msg/*.html"],
        "alertmanager_receivers": [{**receiver, "slack_configs": [slack]}],
        "prometheus_config_flags_extra": {"enable-feature": ["promql-at-modifier", "auto-reload-config"]},
        "monitoring_gather_facts": True,
        "prometheus_external_labels": {"host": "{{ ansible_facts['hostname'] }}"},
        "prometheus_ip": "192.0.2.1",
    }
    first = site.run().must_be_green(changed=True)
    assert 'msg="Unknown option for --enable-feature" option=promql-at-modifier' in " ".join(first.output.split())
    assert first.output.count("begin with the name of a role: prometheus_ip.") == 1
    assert {"a", "b", "c"} <= loaded(site)
    assert '"job":"own"' in site.host.run("curl -fsS http://127.0.0.1:9090/api/v1/targets").stdout
    assert "templates/own.html" in site.host.run("cat /etc/alertmanager/alertmanager.yml").stdout

    again = play.run(site.command(), elsewhere, site.environment(), 300).must_be_green(changed=False)
    assert "Unknown option" not in again.output
    assert {"a", "b", "c"} <= loaded(site)
    assert "z" not in loaded(site)

    before = site.state()
    slack["title"] = RAW % "own.titel"
    words = ("the receiver 'default', slack_configs[0].title", "did you mean 'own.title'?")
    site.run(groups=("alertmanager",)).must_be_red(*words)
    slack["title"] = "x"
    (site.folder / "rules" / "d.yml.j2").write_text("x")
    site.run(groups=("prometheus",)).must_be_red("prometheus_alert_rules_files", "d.yml.j2 is a template of Jinja's")
    # A slip of Prometheus' is found before Alertmanager is changed.
    site.variables |= {"prometheus_storage_retension": "1d", "alertmanager_resolve_timeout": "4m"}
    site.run().must_be_red("prometheus_storage_retension: unknown variable")
    assert site.state() == before
