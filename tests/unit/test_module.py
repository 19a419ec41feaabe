# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a module says: no secret in it, and all the rest."""

from __future__ import annotations

import ast
import json
import pathlib

import pytest
import yaml
from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.testing import patch_module_args
from ansible_collections.vigil.monitoring.plugins.module_utils import _client, _redact
from ansible_collections.vigil.monitoring.plugins.module_utils._module import HIDDEN, Module
from ansible_collections.vigil.monitoring.plugins.module_utils._scrub import MASK

ROOT = pathlib.Path(__file__).resolve().parents[2]
SPEC = {
    "path": {"type": "path"},
    "password": {"type": "str", "no_log": True},
    "secrets": {"type": "list", "elements": "str", "no_log": True},
    "headers": {"type": "dict", "no_log": True},
    "probe": {"type": "dict", "options": {"url": {"type": "str"}, "password": {"type": "str", "no_log": True}}},
    "services": {
        "type": "list",
        "elements": "dict",
        "options": {"name": {"type": "str"}, "password": {"type": "str", "no_log": True}},
    },
}


@pytest.fixture
def said(capsys):
    """What a module prints that was given these options and does this."""

    def run(work, **options):
        with patch_module_args({**options, "_ansible_verbosity": 4}), pytest.raises(SystemExit):
            module = Module(argument_spec=SPEC)
            try:
                work(module)
            except ValueError as error:
                module.fail_json(msg=str(error))
        return capsys.readouterr().out

    yield run
    _redact.know(())


def answer(**result):
    return lambda module: module.exit_json(**result)


def test_a_path_is_readable_whatever_the_password_is(said):
    out = said(answer(msg="wrote /etc/grafana/grafana.ini", why="password=grafana"), password="grafana")
    assert json.loads(out)["msg"] == "wrote /etc/grafana/grafana.ini"
    assert json.loads(out)["why"] == f"password={MASK}"


def test_no_option_that_is_secret_is_shown_at_any_verbosity(said):
    out = said(
        answer(changed=False),
        path="/etc/grafana",
        password="grafana",
        secrets=["admin", "it's my word"],
        headers={"X-Scope": "prometheus"},
        probe={"url": "http://me:hunter22@h/", "password": "hunter22"},
        services=[{"name": "grafana", "password": "postgres"}],
    )
    shown = json.loads(out)["invocation"]["module_args"]
    assert shown == {
        "path": "/etc/grafana",
        "password": HIDDEN,
        "secrets": HIDDEN,
        "headers": HIDDEN,
        "probe": {"url": f"http://me:{MASK}@h/", "password": HIDDEN},
        "services": [{"name": "grafana", "password": HIDDEN}],
    }


def test_a_failure_shows_no_form_of_a_secret(said):
    def work(module):
        raise ValueError("cannot log in with password='it\\'s my word' as admin:it%27s+my+word")

    out = said(work, password="it's my word")
    assert "my word" not in out and "my+word" not in out and "cannot log in" in out


def test_a_traceback_and_a_warning_show_none(said, monkeypatch):
    warned = []
    monkeypatch.setattr(AnsibleModule, "warn", lambda self, warning, **kwargs: warned.append(warning))

    def work(module):
        module.warn("hunter22 is refused")
        raise ValueError("it was hunter22")

    out = said(work, secrets=["hunter22"])
    assert "hunter22" not in out and f"it was {MASK}" in out and warned == [f"{MASK} is refused"]


def test_an_option_of_the_wrong_kind_is_refused_without_it(said):
    assert "hunter22" not in said(answer(), probe="hunter22", password="hunter22")


def test_a_password_in_a_url_is_known_from_then_on(said):
    def work(module):
        _client.hide_userinfo(module, "http://me:hunter%2022@h/")
        module.exit_json(msg="hunter 22, hunter%2022", log=_redact.redact_text("x hunter 22 y"))

    out = json.loads(said(work))
    assert out["msg"] == f"{MASK}, {MASK}" and out["log"] == f"x {MASK} y"


@pytest.mark.parametrize("path", sorted((ROOT / "plugins/modules").glob("*.py")), ids=lambda path: path.stem)
def test_every_module_that_is_told_a_secret_answers_without_it(path):
    text = path.read_text(encoding="utf-8")
    if '"no_log": True' in text or "OPTIONS" in text or "ARGUMENTS" in text:
        on_controller = "this module runs on the controller" in text
        assert on_controller or "_module import Module" in text
        assert on_controller or "AnsibleModule(" not in text


@pytest.mark.parametrize("path", sorted((ROOT / "plugins/modules").glob("*.py")), ids=lambda path: path.stem)
def test_the_documentation_of_a_module_is_yaml(path):
    texts = {
        node.targets[0].id: node.value.value
        for node in ast.parse(path.read_text(encoding="utf-8")).body
        if isinstance(node, ast.Assign)
        and getattr(node.targets[0], "id", "") in ("DOCUMENTATION", "EXAMPLES", "RETURN")
    }
    assert len(texts) == 3
    parsed = {name: yaml.safe_load(text) for name, text in texts.items()}
    assert parsed["DOCUMENTATION"]["module"] == path.stem
