# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is known of upstream's configuration, and that its secrets are known wherever they can stand."""

from __future__ import annotations

import json
import pathlib
import subprocess
import sys

import pytest
import yaml
from ansible_collections.vigil.monitoring.plugins.module_utils._redact import is_secret_key, redact_text
from ansible_collections.vigil.monitoring.plugins.plugin_utils._secrets import secret_values
from ansible_collections.vigil.monitoring.plugins.plugin_utils._text import to_yaml
from ansible_collections.vigil.monitoring.plugins.plugin_utils._upstream import PROGRAMS, is_secret, keys, upstream

ROOT = pathlib.Path(__file__).resolve().parents[2]
# The versions whose types are known: `make upstream` reads them.
VERSIONS = {"alertmanager": "v0.35.0", "prometheus": "v0.316.0"}
DOCUMENTS = [(program, document) for program in PROGRAMS for document in upstream(program)["roots"]]


class Everything:
    """A file with every key that upstream knows, and a sentinel in each one that is a secret."""

    def __init__(self, program, document):
        data = upstream(program)
        self.types, self.places, self.readable = data["types"], [], []
        self.data = self.structure(data["roots"][document], ())

    def structure(self, name, path):
        return {
            key.replace("*", "any"): self.value(kind, (*path, key)) for key, kind in sorted(self.types[name].items())
        }

    def value(self, kind, path):
        if kind.startswith("[]"):
            return [self.value(kind[2:], path)]
        if kind.startswith("{}"):
            return {"any": self.value(kind[2:], path)}
        if is_secret(kind):
            self.places.append(".".join(path))
            return "https://example.org/SENTINEL-{0}-".format(len(self.places))
        if kind.startswith("@"):
            # Routes have routes, and clients a client of their own.
            return {} if path.count(path[-1]) > 1 else self.structure(kind[1:], path)
        self.readable.append(path[-1])
        return "readable"

    def left_in(self, text):
        """The secrets that a text still shows."""
        return [place for number, place in enumerate(self.places, 1) if "SENTINEL-{0}-".format(number) in text]


@pytest.fixture(scope="module", params=DOCUMENTS, ids=map("-".join, DOCUMENTS))
def everything(request):
    return Everything(*request.param)


SHAPES = {
    "our YAML": to_yaml,
    "YAML": yaml.safe_dump,
    "YAML in flow style": lambda data: yaml.safe_dump(data, default_flow_style=True, width=100000),
    "YAML in short lines of flow style": lambda data: yaml.safe_dump(data, default_flow_style=True, width=60),
    "JSON": json.dumps,
    "JSON in lines": lambda data: json.dumps(data, indent=2),
}


@pytest.mark.parametrize("shape", SHAPES)
def test_no_secret_of_an_unknown_generation_is_shown_by_a_diff(everything, shape):
    text = SHAPES[shape](everything.data)
    redacted = redact_text(text)
    assert everything.left_in(redacted) == []
    if "flow" not in shape:
        # A secret hides nothing but itself. These are none for upstream, and it is better not to see them.
        careful = sum(place.endswith(("access_key", "auth_identity")) for place in everything.readable)
        assert redacted.count("readable") == text.count("readable") - careful


def test_every_secret_is_among_those_that_no_output_may_show(everything):
    assert everything.left_in("\n".join(secret_values(everything.data))) == everything.places
    assert everything.left_in("\n".join(secret_values(to_yaml(everything.data)))) == everything.places


@pytest.mark.parametrize(
    ("text", "hidden"),
    [
        ("ovhcloud_sd_configs:\n- consumer_key: SENTINEL\n  application_key: id\n", True),
        ("oauth2:\n  client_certificate_key: SENTINEL\n", True),
        ("event_recorder:\n  webhook_outputs:\n  - name: x\n    url: SENTINEL\n", True),
        ("event_recorder: {webhook_outputs: [{name: x, url: SENTINEL}]}\n", True),
        ("tls_config:\n  key: SENTINEL\n", True),
        ("tls_config: {cert: x, key: SENTINEL}\n", True),
        ("basic_auth_users:\n  me: SENTINEL\n", True),
        ("basic_auth_users:\n  me@example.org: SENTINEL\nx: readable\n", True),
        ("basic_auth_users: {me: SENTINEL}\n", True),
        ("proxy_connect_header:\n  X-Any:\n  - SENTINEL\n", True),
        ("slack_configs:\n- api_url: SENTINEL\n", True),
        ("slack_api_url: SENTINEL\n", True),
        ("pagerduty_configs:\n- routing_key: SENTINEL\n", True),
        ("webhook_configs:\n- http_config:\n    proxy_url: readable\n  url: SENTINEL\n", True),
        ("secureJsonData:\n  httpHeaderValue1: SENTINEL\n", True),
        ("a: {secureSettings: {url: SENTINEL}, url: readable}\n", True),
        ("opsgenie_configs:\n- api_url: readable\n", False),
        ("opsgenie_api_url: readable\njira_api_url: readable\n", False),
        ("victorops_configs:\n- routing_key: readable\n", False),
        ("http_sd_configs:\n- url: readable\n", False),
        ("slack_configs:\n- actions:\n  - url: readable\n", False),
        ("key: readable\nmatch:\n  key: readable\n", False),
    ],
)
def test_what_a_key_is_depends_on_where_it_stands(text, hidden):
    redacted = redact_text(text)
    assert "SENTINEL" not in redacted
    assert redacted.count("readable") == text.count("readable")
    assert ("*" in redacted) == hidden
    assert ([value for value in secret_values(text) if "SENTINEL" in value] != []) == hidden


def test_the_data_is_of_the_versions_that_it_should_be_of():
    asked = json.loads((ROOT / "tools/upstream/versions.json").read_text(encoding="utf-8"))
    assert asked == VERSIONS
    assert {name: upstream(name)["module"] for name in PROGRAMS} == {
        name: f"github.com/prometheus/{name}@{version}" for name, version in VERSIONS.items()
    }


def test_the_hosts_table_of_secrets_is_that_of_the_data():
    subprocess.run([sys.executable, ROOT / "tools/upstream/tables.py", "--check"], check=True)


def test_what_upstream_has_is_found():
    assert is_secret(keys("alertmanager", "receivers", "slack_configs")["api_url"])
    assert keys("prometheus", "scrape_configs", "ovhcloud_sd_configs")["consumer_key"] == "secret"
    assert keys("prometheus", "global")["scrape_interval"] == "duration"
    assert {"prometheus", "alertmanager"} == set(PROGRAMS)


def test_every_key_that_upstream_calls_a_secret_is_one_wherever_its_place_is_known():
    for program in PROGRAMS:
        for name, fields in upstream(program)["types"].items():
            for key, kind in fields.items():
                if (
                    is_secret(kind)
                    and not kind.startswith("{}")
                    and key not in ("url", "key", "api_url", "routing_key")
                ):
                    assert is_secret_key(key), (name, key)
