# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A file that data depend on, such as the key with which Grafana encrypts: made up once, and never exchanged."""

from __future__ import annotations

import hashlib
import os
from types import SimpleNamespace

import pytest
from ansible_collections.vigil.monitoring.plugins.module_utils._config_files import Tree
from ansible_collections.vigil.monitoring.plugins.module_utils._tree import kept_content, pack
from ansible_collections.vigil.monitoring.plugins.plugin_utils._compare_files import _digest
from ansible_collections.vigil.monitoring.plugins.plugin_utils._grafana_ini import KNOWN_KEY, secret_key

OWN = "a-key-of-ones-own"
INI = "[server]\nsecret_key = not-this\n[security]\nadmin_user = admin\nsecret_key = {0}\n[users]\nsecret_key = nor-this\n"
OURS = "$__file{/etc/grafana/secrets/security.secret_key}"


@pytest.mark.parametrize(
    ("wanted", "live", "has_data", "ini", "renew", "content", "problem", "doubted"),
    [
        # The first start of all.
        ("", None, False, "", False, None, None, False),
        (OWN, None, False, "", False, OWN, None, False),
        # A later run, and one after a removal that kept the data.
        ("", OWN, True, INI.format(OURS), False, OWN, None, False),
        ("", OWN, True, "", False, OWN, None, False),
        (OWN, OWN + "\n", True, "", False, OWN, None, False),
        # The data were purged, the key was not.
        ("", OWN, False, "", False, OWN, None, False),
        # A Grafana that was never given a key.
        ("", None, True, "[security]\nadmin_user = admin\n", False, KNOWN_KEY, None, True),
        ("", None, True, "[security]\n;secret_key = x\n", False, KNOWN_KEY, None, True),
        ("", KNOWN_KEY, True, "", False, KNOWN_KEY, None, True),
        # One of somebody else's, with a key in its ini.
        ("", None, True, INI.format(OWN), False, OWN, None, False),
        ("", None, True, INI.format('"""{0}"""'.format(OWN)), False, OWN, None, False),
        # One whose key is out of sight.
        ("", None, True, INI.format(OURS), False, None, "is not known any more", False),
        ("", None, True, INI.format("$__env{KEY}"), False, None, "is not known any more", False),
        (OWN, None, True, INI.format(OURS), False, OWN, None, False),
        # Another one than before.
        (OWN, None, True, "", False, OWN, "is another", False),
        (OWN, KNOWN_KEY, True, "", False, OWN, "is another", False),
        (OWN, "what-was-before", True, "", False, OWN, "is another", False),
        (OWN, "what-was-before", True, "", True, OWN, None, False),
        (OWN, "what-was-before", False, "", False, OWN, None, False),
    ],
)
def test_which_key_counts(wanted, live, has_data, ini, renew, content, problem, doubted):
    kept = secret_key("/etc/grafana", "/var/lib/grafana/grafana.db", renew)
    found = kept_content(wanted, live, has_data, ini, kept)
    assert (found.problem is None) is (problem is None)
    if problem:
        assert problem in found.problem
        assert "grafana_security.secret_key" in found.problem
        return
    assert found.content == content
    assert bool(found.doubt) is doubted
    if doubted:
        assert "rotate-data-keys" in found.doubt
        assert KNOWN_KEY not in found.doubt


def tree(root, content="", renew=False):
    kept = secret_key(str(root), str(root / "grafana.db"), renew)
    entry = {"path": "secrets/key", "content": content, "mode": 0o640, "secret": True, "kept": kept}
    said, known = [], []
    params = {"path": str(root), "payload": pack([entry]), "role": "grafana"}

    def fail_json(msg, **dummy):
        raise ValueError(msg)

    made = Tree(SimpleNamespace(params=params, warn=said.append, know=known.append, fail_json=fail_json))
    made.settle_kept()
    return made.files["secrets/key"]["content"], said, known


def test_made_up_once_on_the_host(tmp_path):
    one, said, known = tree(tmp_path)
    other, *dummy = tree(tmp_path)
    assert one != other
    assert len(one.strip()) >= 40
    assert (said, known) == ([], [one.strip()])
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "key").write_text(one)
    (tmp_path / "grafana.db").write_text("")
    assert tree(tmp_path)[0] == one
    with pytest.raises(ValueError, match="is another"):
        tree(tmp_path, "another")
    assert tree(tmp_path, "another", renew=True)[0] == "another\n"


def test_a_link_in_its_place_is_not_followed(tmp_path):
    (tmp_path / "elsewhere").write_text("theirs")
    (tmp_path / "secrets").mkdir()
    os.symlink(tmp_path / "elsewhere", tmp_path / "secrets" / "key")
    assert tree(tmp_path)[0] != "theirs\n"


def test_a_look_compares_with_what_was_recorded_unless_another_is_given():
    def digest(content):
        return _digest({"path": "secrets/key", "content": content, "kept": {"data": "x"}}, {"secrets/key": "recorded"})

    assert digest("\n") == "recorded"
    assert digest(OWN + "\n") == hashlib.sha256(f"{OWN}\n".encode()).hexdigest()
