# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The comparison's program on the host: what the process of a service is, what it answers, and which files it can read.

The module service writes it into its state directory, from where a shell command of the controller runs it: a module would
take several times as long to arrive and to begin. It consists of files that the modules use as well, so that both find the
same.

usage: python3 -I -S -B DIRECTORY JSON
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import sys

from ansible_collections.vigil.monitoring.plugins.module_utils import (
    _account_access,
    _endpoint,
    _http,
    _process_state,
)

PACKAGE = "ansible_collections.vigil.monitoring.plugins.module_utils"
START = "from {0}._compare_program import main\n\nmain()\n".format(PACKAGE)
# Of an answer that is no page of metrics, in characters: enough for the words of an error.
SHOWN = 200


class Host:
    """This host, as far as the comparison uses it."""

    get = staticmethod(_http.get)
    proc = staticmethod(_process_state.proc)
    executable = staticmethod(_process_state.executable)


def files():
    """The program: relative path -> text. What starts it is the last one."""
    found = {}
    for module in (_account_access, _endpoint, _http, _process_state, sys.modules[__name__]):
        name = module.__spec__.name
        text = module.__spec__.loader.get_source(name)
        # Ansible's loader on the controller returns bytes.
        found[name.replace(".", "/") + ".py"] = text if isinstance(text, str) else text.decode("utf-8")
    found["__main__.py"] = START
    return found


def directory():
    """The name of the program's directory, which tells its version."""
    digest = hashlib.sha256(json.dumps(files(), sort_keys=True).encode("utf-8")).hexdigest()
    return "comparison-" + digest[:16]


def compare(asked, login, machine, state="."):
    """What there is, as a dict that :class:`_compare_service.Service` reads.

    :param asked: dict: ``config_dir``; ``health``, the option of the module service without its password; ``names`` of the
        metrics whose lines are wanted; ``readable``, files that ``user`` of ``group`` has to be able to read.
    :param login: dict with ``username``, ``password`` and ``client_pem``, or None.
    :param machine: :class:`Host`.
    :param state: the state directory.
    """
    known, manifest = _read(state, "proven.json"), _read(state, "manifest.json")
    health = dict(asked["health"], **(login or {"username": None, "password": None, "client_pem": None}))
    answers, configuration = _answers(machine.get, health, asked["names"])
    account = _account_access.find_account(asked["user"], asked["group"]) if asked["readable"] else None
    found = {path: _account_access.readability(path, asked["user"], account) for path in asked["readable"]}
    return {
        "process": _process_state.process(int(known["pid"]), machine),
        "touched": _process_state.touched(asked["config_dir"], manifest["files"], known["watched"]),
        "answers": answers,
        "configuration": configuration,
        "unusable": {path: problem for path, problem in found.items() if problem},
    }


def _read(state, name):
    with open(os.path.join(state, name), encoding="utf-8") as stream:
        return json.load(stream)


def _answers(get, health, names):
    """The answers to the requests for metrics and readiness, and what stands for the configuration that is shown."""
    telling = re.compile(r"(?m)^(?:{0})[ {{].*$".format("|".join(map(re.escape, names))))
    metrics, dummy = _endpoint.answer(get, health, health["metrics_path"])
    if metrics.status != 200:
        return [_shown(metrics)], None
    found = [dict(_shown(metrics), text="\n".join(telling.findall(metrics.text)))]
    if health["ready_path"]:
        found.append(_shown(_endpoint.answer(get, health, health["ready_path"])[0]))
    if not health["loaded_config_path"]:
        return found, None
    loaded, dummy = _endpoint.answer(get, health, health["loaded_config_path"])
    return found, _process_state.of_configuration(loaded.status, loaded.text)


def _shown(answer):
    return {"status": answer.status, "text": answer.text[:SHOWN], "why": getattr(answer, "why", "")}


def main():
    """Print what there is, as one line of JSON; it is run in the state directory."""
    asked = json.loads(sys.argv[1])
    login = json.loads(sys.stdin.readline()) if asked["login"] else None
    sys.stdout.write(json.dumps(compare(asked, login, Host)) + "\n")
