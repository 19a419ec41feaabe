# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The hash of a password, as Prometheus, Alertmanager and exporters check it."""

from __future__ import annotations

import os


def bcrypt(password):
    """The bcrypt hash of a password, with a salt of its own.

    :raises AnsibleError: when the library is missing, or the password is empty or too long.
    """
    # Imported here: Ansible loads all filters of a collection for any one of them.
    from ansible.errors import AnsibleError  # noqa: PLC0415
    from ansible_collections.vigil.monitoring.plugins.plugin_utils import _tls  # noqa: PLC0415

    if not isinstance(password, str) or not password:
        raise AnsibleError("bcrypt: the password is empty, or no text; give one")
    return _tls.bcrypt_hash.__wrapped__(str(password), os.urandom(16), _tls.PERSON)


class FilterModule:
    """The hash of a password."""

    def filters(self):
        """The filters by name."""
        return {"bcrypt": bcrypt}
