"""A declaration of channels on a real host: secrets are files that only the service reads, and appear nowhere else."""

from __future__ import annotations

import json

SECRETS = ("hooks.example.com/T0/B0/S3CR3T-MONITORING", "S3CR3T-PAGE", "S3CR3T-SMTP")
ESCALATION = {
    "channels": {
        "monitoring": {"kind": "slack", "api_url": "https://" + SECRETS[0]},
        "email": {"kind": "email", "to": "oncall@example.com"},
        "page": {"kind": "pagerduty", "routing_key": SECRETS[1]},
    }
}
SMTP = {"from": "a@example.com", "smarthost": "localhost:25", "auth_username": "me", "auth_password": SECRETS[2]}


def test_a_declaration_becomes_a_configuration(site):
    site.variables.update(alertmanager_escalation=ESCALATION, alertmanager_smtp=SMTP)
    outputs = [site.run("--check", "--diff", "-vvv"), site.run("--diff", "-vvv")]
    assert all(outcome.must_be_green(changed=True) for outcome in outputs)
    outputs.append(site.run().must_be_green(changed=False))

    listed = site.host.run("stat -c '%n %a %U %G' /etc/alertmanager/secrets /etc/alertmanager/secrets/*").stdout
    names = ("monitoring.api_url", "page.routing_key", "smtp.auth_password")
    files = [f"/etc/alertmanager/secrets/{name} 640 root alertmanager" for name in names]
    assert listed.splitlines() == ["/etc/alertmanager/secrets 750 root alertmanager", *files]
    loaded = json.loads(site.host.run("curl -fsS http://127.0.0.1:9093/api/v2/status").stdout)["config"]["original"]
    written = site.host.run("cat /etc/alertmanager/alertmanager.yml").stdout
    for name in names:
        assert f"/etc/alertmanager/secrets/{name}" in loaded
    for secret in SECRETS:
        assert secret not in written
        assert not [outcome for outcome in outputs if secret in outcome.output], secret

    # What leaves the declaration leaves the host, and a key that is misspelled leaves all as it is.
    site.variables["alertmanager_escalation"] = {"channels": {"page": ESCALATION["channels"]["page"]}}
    site.run("--diff").must_be_green(changed=True)
    assert site.host.run("ls /etc/alertmanager/secrets").stdout.split() == list(names[1:])
    before = site.state()
    site.variables["alertmanager_escalation"] = {"channels": {"page": {"kind": "pagerduty", "routing_kee": SECRETS[1]}}}
    red = site.run("-vvv").must_be_red("alertmanager_escalation.channels.page.routing_kee", "did you mean routing_key?")
    assert SECRETS[1] not in red.output
    assert site.state() == before
