"""What the roles can write is taken by the real validators: every kind of channel, every global key, every section."""

from __future__ import annotations

import pytest
import yaml
from ansible_collections.vigil.monitoring.plugins.plugin_utils._channels import GLOBAL_KEYS, KINDS, too_old
from conftest import amtool, settings, write

CHANNELS = """
channels:
  slack: {kind: slack, app_token: a, channel: "#x", thumb_url: "https://x"}
  updated:
    kind: slack
    api_url: https://slack.com/api/chat.postMessage
    channel: "#x"
    update_message: true
    http_config: {authorization: {credentials: a}}
  email: {kind: email, to: a@b, threading: {thread_by_date: daily}}
  pagerduty: {kind: pagerduty, routing_key: a}
  webhook: {kind: webhook, url: "https://x", timeout: 5s}
  msteams: {kind: msteams, webhook_url: "https://x"}
  msteams_connector: {kind: msteams_connector, webhook_url: "https://x"}
  discord: {kind: discord, webhook_url: "https://x"}
  opsgenie: {kind: opsgenie, api_key: a}
  telegram: {kind: telegram, bot_token: a, chat_id_file: /etc/keys/chat}
  mattermost: {kind: mattermost, webhook_url: "https://x", props: {card: x}}
  rocketchat: {kind: rocketchat, token: a, token_id: b}
  jira: {kind: jira, api_url: "https://x", project: P, issue_type: Bug, http_config: {basic_auth: {username: a, password: b}}}
  incidentio: {kind: incidentio, url: "https://x", alert_source_token: a}
  webex: {kind: webex, room_id: a, http_config: {authorization: {credentials: a}}}
  pushover: {kind: pushover, token: a, user_key: b}
  victorops: {kind: victorops, api_key: a, routing_key: b}
  wechat: {kind: wechat, api_secret: a, corp_id: b, agent_id: "1"}
  sns: {kind: sns, topic_arn: "arn:aws:sns:us-east-2:123456789012:a", sigv4: {region: us-east-2, secret_key: a, access_key: b}}
"""
# What goes together: of a secret and its file, amtool takes one.
COMMON = {
    name: "https://x" if key.endswith("url") else "/etc/keys/x" if key.endswith("_file") else "x"
    for name, key in GLOBAL_KEYS.items()
}


@pytest.mark.parametrize("files", [False, True])
def test_amtool_takes_every_kind_and_every_global_key(releases, tmp_path, files):
    version, programs = releases["new"]
    channels = yaml.safe_load(CHANNELS)
    assert {channel["kind"] for channel in channels["channels"].values()} == set(KINDS)
    known = {name: value for name, value in channels["channels"].items() if _knows(value["kind"], version)}
    assert len(known) > 15
    secret = {name for name in COMMON if name + "_file" in COMMON}
    left_out = secret if files else {name + "_file" for name in secret}
    given = {name: value for name, value in COMMON.items() if name not in left_out}
    # Slack has a webhook or an app.
    given = {name: value for name, value in given.items() if not name.startswith(("slack_api", "slack_app_url"))}
    tracing = {"endpoint": "localhost:4317", "insecure": True}
    recorder = {"webhook_outputs": [{"url": "https://x"}]}
    given = settings({"channels": known}, version, tmp_path, **given, tracing=tracing, event_recorder=recorder)
    write(given)
    amtool(programs, "check-config", str(tmp_path / "alertmanager.yml"))


def _knows(kind, version):
    return not any(too_old(version, since) for since in KINDS[kind].secrets.values())
