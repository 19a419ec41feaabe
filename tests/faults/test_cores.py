"""The oldest and the newest ansible-core: between them everything that is promised works, and nothing is warned of."""

from __future__ import annotations

import os
import re

import pytest

from lab import venv

# The rest of the tests run with the core that pyproject.toml pins, which is between these.
CORES = {"oldest": "2.17.14", "newest": "2.21.5"}
# `make test-core CORE=2.20` names one more.
if os.environ.get("VIGIL_CORE"):
    CORES["chosen"] = os.environ["VIGIL_CORE"]


@pytest.mark.parametrize("version", CORES.values(), ids=CORES)
def test_ansible_core(bare, monkeypatch, version):
    programs = venv.core(version)
    if programs is None:
        wanted = ", ".join(venv.pythons(version))
        pytest.skip(f"NOT RUN: ansible-core {version} needs one of Python {wanted}, and none is here")
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    monkeypatch.setenv("ANSIBLE_COLLECTIONS_PATH", str(venv.collections()))
    # Of somebody else, and nobody's business: nothing of it can be evaluated.
    bare.variables["backup"] = {
        "hosts": "{{ groups['all'] | map('extract', hostvars, 'ansible_host') | list }}",
        "itself": "{{ hostvars }}",
        "key": "{{ lookup('ansible.builtin.file', '/nowhere/to/be/found') }}",
        "port": "{{ nowhere_to_be_found }}",
    }
    bare.variables["prometheus_alert_rules"] = [{"alert": "Broken", "expr": "up =="}]

    assert re.search(rf"core {re.escape(version)}[].]", bare.run("--version").output)
    bare.run("--check", "--diff").must_be_green(changed=True)
    bare.run().must_be_red("could not parse expression", 'group "ansible managed alert rules"')
    del bare.variables["prometheus_alert_rules"]
    bare.run().must_be_green(changed=True)
    again, check = bare.run(), bare.run("--check", "--diff")
    for outcome in (again, check, bare.run(playbook="report.yml")):
        # Groups that the inventory lacks are Ansible's own remark.
        said = outcome.must_be_green().output.replace("[WARNING]: Could not match supplied host pattern", "")
        assert "WARNING" not in said, said
        assert "DEPRECATED" not in said, said
    again.must_be_green(changed=False)
    check.must_be_green(changed=False)
    assert "MONITORING: 3 of 3 services verified" in again.output
