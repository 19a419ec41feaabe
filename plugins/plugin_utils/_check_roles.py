# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The inputs of a role on a host, found and looked at: its names and types, and what cannot work."""

from __future__ import annotations

import os
import re

import yaml
from ansible.errors import AnsibleError
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible.module_utils.parsing.convert_bool import boolean
from ansible_collections.vigil.monitoring.plugins.plugin_utils import (
    _files,
    _inputs,
    _own_variables,
    _rooms,
    _unquoted,
)
from ansible_collections.vigil.monitoring.plugins.plugin_utils._problems import Doubt
from ansible_collections.vigil.monitoring.plugins.plugin_utils._text import plain

FACTS = (
    "it is a fact, and facts are not gathered: monitoring_gather_facts: true has site.yml and verify.yml gather them;"
    " in a play of your own, gather_facts"
)
OF_GO = (
    "it holds a template that is Prometheus' or Alertmanager's, which Ansible takes for its own: write !unsafe before the text,"
    " or put {% raw %} and {% endraw %} around it"
)
_OF_GO = re.compile(r"\{\{-?\s*(?:template\s+\\?[\"'`]|[.$]\w|\. |range\s|end\s*-?\}\}|define\s)")
# Variables of Ansible's that are no facts; those of connections begin as these do.
_NO_FACTS = (
    "ansible_(host|port|user|password|connection|become|ssh|python|shell|winrm|play|inventory|run|skip|check|diff|limit|loop"
    "|index|parent|role|dependent|collection|config|version|verbosity|forks|search|local|net|docker|delegated|facts)(?![a-z])"
)
_FACT = re.compile(r"ansible_facts\b|(?!{0})ansible_[a-z]\w*".format(_NO_FACTS))


def spec_of(role):
    """A role's argument specification: input -> what it has to be."""
    path = os.path.join(_files.COLLECTION, "roles", role, "meta", "argument_specs.yml")
    with open(path, encoding="utf-8") as stream:
        specs = yaml.load(stream, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    return specs["argument_specs"]["main"]["options"]


def hint(raw, reason):
    """What a message adds where a template that cannot be evaluated names a fact, or is not Ansible's; else nothing.

    :param raw: the value with its templates.
    :param reason: why it cannot be evaluated.
    """
    if _OF_GO.search(repr(raw)):
        return "; " + OF_GO
    undefined = "undefined" in reason or "has no attribute" in reason
    return "; " + FACTS if undefined and (_FACT.search(repr(raw)) or _FACT.search(reason)) else ""


class Outcome:
    """What was found about a role's inputs.

    :ivar problems: what cannot work, each with its way out.
    :ivar warnings: sentences about what can.
    :ivar own: names of variables that begin with the role's name and mean nothing to it.
    :ivar values: its inputs; none where one of them cannot be evaluated.
    :ivar shared: what cannot work of the variables that all services share.
    """

    def __init__(self):
        self.problems, self.warnings, self.own, self.values, self.shared = [], [], [], {}, []


def check(role, spec, raw, value, bases, known=None, problems=_inputs.problems):
    """Look at a role's inputs on a host.

    :param spec: what :func:`spec_of` gives.
    :param raw: the host's variables with their templates.
    :param value: function of a name that gives its value, None where there is none, or raises AnsibleError.
    :param bases: what :func:`_files.places` gives.
    :param known: a dict that keeps what was found, so that hosts that say the same are looked at once.
    :param problems: function of the role's name and its values that gives what is wrong with them.
    """
    found, values = Outcome(), {}
    for name in [*spec, "monitoring_own_variables", "monitoring_strict_variables"]:
        try:
            values[name] = plain(value(name))
        except AnsibleError as error:
            reason = str(error)
            where = "" if reason.startswith(name + " ") else name + " cannot be evaluated: "
            found.problems.append("{0}{1}{2}".format(where, reason, hint(raw.get(name), reason)))
    own, strict = (values.pop("monitoring_" + name, None) for name in ("own_variables", "strict_variables"))
    slips, found.own = _own_variables.sort_out(role, spec, raw, own or ())
    missing, found.warnings = _inputs.different_variables(role, raw)
    found.problems += [str(problem) for problem in [*slips, *missing]]
    if strict and boolean(strict, strict=False):
        found.problems += map(str, _own_variables.strict(found.own))
        found.own = []
    if len(values) < len(spec):
        return found
    known = {} if known is None else known
    key = (role, repr(values), tuple(bases))
    if key not in known:
        known[key] = judge(role, spec, values, bases, problems)
    wrong, warnings = known[key]
    found.problems += wrong
    found.warnings += warnings
    found.values = values
    return found


def judge(role, spec, values, bases, problems=_inputs.problems):
    """What is wrong with the values of a role's inputs, beginning with their types.

    :param problems: see :func:`check`.
    :returns: problems and warnings, as sentences.
    """
    given = {name: value for name, value in values.items() if value is not None}
    wrong = ArgumentSpecValidator(spec).validate(given).error_messages
    if wrong:
        return wrong, []
    unquoted, doubts = _unquoted.check_quotes(values)
    found = [*unquoted, *problems(role, values)]
    sentences = [str(problem) for problem in found if not isinstance(problem, Doubt)]
    doubts += [str(doubt) for doubt in found if isinstance(doubt, Doubt)]
    for name in _files.DEFAULT_PATTERNS:
        if name in values:
            sentences += _files.file_problems(values[name] or [], bases, name)
    if role in _rooms.names():
        sentences += _rooms.load(role).validate_files(values, bases)
    return sentences, doubts
