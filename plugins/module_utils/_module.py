# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A module whose output has no secret in it, and is readable all the same."""

from __future__ import annotations

import inspect
import json
import sys
import traceback

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.vigil.monitoring.plugins.module_utils import _redact
from ansible_collections.vigil.monitoring.plugins.module_utils._sanitize import sanitize_lines

HIDDEN = "VALUE_SPECIFIED_IN_NO_LOG_PARAMETER"


class Module(AnsibleModule):
    """Ansible's module, but for how the values of its ``no_log`` options are kept out of what it says.

    Ansible looks for them alone, and as they are: of ``it's`` a quoted ``it'\\''s`` stays, and with the password
    ``grafana`` no path of Grafana can be read. Here they are masked by :mod:`_scrub` before Ansible sees the text.
    """

    def __init__(self, argument_spec, **kwargs):
        super().__init__(argument_spec, **kwargs)
        self.know()

    def know(self, *secrets):
        """Mask these as well from here on, in whatever is printed or written to a log."""
        self.no_log_values.update(secrets)
        shown = json.dumps(without_values(self.params, self.argument_spec, self.no_log_values), default=str)
        _redact.know(self.no_log_values, shown)

    def exit_json(self, **kwargs):
        """See AnsibleModule."""
        super().exit_json(**self._scrubbed(kwargs))

    def fail_json(self, msg, **kwargs):
        """See AnsibleModule."""
        # Up to ansible-core 2.18, one that is given is shown at any verbosity.
        shown = self._verbosity >= 3 or "exception" in inspect.signature(AnsibleModule.fail_json).parameters
        if shown and "exception" not in kwargs and sys.exc_info()[0]:
            kwargs["exception"] = traceback.format_exc()
        super().fail_json(**self._scrubbed(dict(kwargs, msg=sanitize_lines(msg))))

    def warn(self, warning, **kwargs):
        """See AnsibleModule."""
        super().warn(sanitize_lines(_redact.scrub(warning)), **kwargs)

    def _scrubbed(self, kwargs):
        """What Ansible may print: with the options that were given, for -vvv, but for the values of secret ones."""
        if getattr(self, "params", None) is None or not hasattr(self, "validation_result"):
            return kwargs
        self.know()
        kwargs = dict(kwargs, invocation={"module_args": without_values(self.params, self.argument_spec)})
        scrubbed = _redact.scrub_data(kwargs)
        self.no_log_values = set()
        return scrubbed


def without_values(params, spec, hidden=None):
    """A module's options without the values of secret ones.

    :param params: the options.
    :param spec: their specification.
    :param hidden: a set to which the secrets are added.
    """
    hidden = set() if hidden is None else hidden
    shown = {}
    for name, value in params.items():
        option = spec.get(name) or {}
        inner = option.get("options")
        if value is None or not (option.get("no_log") or inner):
            shown[name] = value
        elif not option.get("no_log") and isinstance(value, dict):
            shown[name] = without_values(value, inner, hidden)
        elif not option.get("no_log") and isinstance(value, list) and all(isinstance(one, dict) for one in value):
            shown[name] = [without_values(one, inner, hidden) for one in value]
        else:
            # Or it is not of the kind that it should be, and may hold anything.
            shown[name] = HIDDEN
            hidden.update(_texts(value))
    return shown


def _texts(value):
    """Every text in a value."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, (list, tuple)):
        return {text for one in value for text in _texts(one)}
    return set() if value is None or isinstance(value, bool) else {str(value)}
