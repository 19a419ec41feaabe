# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The keys that Prometheus and Alertmanager themselves mark as secrets. Written by `make upstream` from their types; do not edit.

prometheus/alertmanager v0.35.0 and prometheus/prometheus v0.316.0.
"""

from __future__ import annotations

# Secret wherever they stand.
ANYWHERE = (
    "alert_source_token",
    "api_key",
    "api_secret",
    "app_token",
    "application_credential_secret",
    "application_secret",
    "auth_password",
    "auth_secret",
    "auth_token",
    "bearer_token",
    "bot_token",
    "certificate_password",
    "client_certificate_key",
    "client_secret",
    "consumer_key",
    "credentials",
    "key_passphrase",
    "mattermost_webhook_url",
    "opsgenie_api_key",
    "password",
    "private_key",
    "rocketchat_token",
    "rocketchat_token_id",
    "secret_key",
    "secrets",
    "service_account_key",
    "service_key",
    "slack_api_url",
    "slack_app_token",
    "smtp_auth_password",
    "smtp_auth_secret",
    "telegram_bot_token",
    "token",
    "token_id",
    "user_key",
    "victorops_api_key",
    "webhook_url",
    "wechat_api_secret",
)
# Each value below these is a secret, whatever its key.
MAPS = (
    "basic_auth_users",
    "proxy_connect_header",
)
# Secret below some keys: key -> those above it.
WITHIN = {
    "api_url": ("slack_configs",),
    "key": ("smtp_tls_config", "tls_config", "tls_server_config"),
    "routing_key": ("pagerduty_configs",),
    "url": ("webhook_configs", "webhook_outputs"),
}
# Addresses that hold no secret, though that of Slack does.
PUBLIC = (
    "jira_api_url",
    "opsgenie_api_url",
    "rocketchat_api_url",
    "telegram_api_url",
    "victorops_api_url",
    "webex_api_url",
    "wechat_api_url",
)
# Not secret below some keys: key -> those above it.
PUBLIC_WITHIN = {
    "api_url": (
        "jira_configs",
        "opsgenie_configs",
        "rocketchat_configs",
        "scaleway_sd_configs",
        "sns_configs",
        "telegram_configs",
        "victorops_configs",
        "webex_configs",
        "wechat_configs",
    ),
    "routing_key": ("victorops_configs",),
}
