#!/usr/bin/python
# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: postgres_monitoring_role
short_description: Manage a read-only PostgreSQL monitoring role
description:
  - Ensures that a role can log in to a database with a password and is a member of C(pg_monitor) and of no other role.
  - It uses C(psql) of the host, so that no Python library is required there. Passwords are passed to it in files
    that only root can read, and to the server as the hash that it stores, so that its log never contains them.
  - An existing role of this name with further privileges is refused and not changed.
  - A server that cannot be reached is a warning and not a failure, because the exporter can be deployed nevertheless. The
    verification reports it then.
version_added: 0.2.0
author:
  - Contributors to vigil.monitoring (@vigil-monitoring)
attributes:
  check_mode:
    support: full
    description: Reports what would be changed.
  diff_mode:
    support: full
    description: Shows the statements, without passwords.
  idempotent:
    support: full
    description: Passwords are compared with the hash that the server stores, or by logging in if it cannot be read.
options:
  name:
    description: Name of the role.
    type: str
    required: true
  state:
    description: Whether the role is created or removed.
    type: str
    choices: [present, absent]
    default: present
  password:
    description: Password of the role. If not set, its password is not changed; peer authentication requires none.
    type: str
  database:
    description: Database that the role has to be able to connect to. The module connects to it as well.
    type: str
    required: true
  host:
    description: Host of the server, or the directory of its socket. Empty for the default socket.
    type: str
    default: ""
  port:
    description: Port of the server.
    type: str
    default: "5432"
  sslmode:
    description: Value of libpq's C(sslmode). Empty for its default.
    type: str
    default: ""
  admin_user:
    description:
      - Role that may create roles. If not set, the module becomes O(admin_system_user) and uses the server's socket.
    type: str
    default: ""
  admin_password:
    description: Password of O(admin_user).
    type: str
  admin_system_user:
    description: System user that is an administrator of the server by peer authentication.
    type: str
    default: postgres
  config_dir:
    description:
      - Configuration directory of the service that logs in as the role.
      - If set, the role is only compared and not changed. If it has to be changed, the option C(database) of
        M(vigil.monitoring.service) makes the change as part of its activation, and reverts it in a rollback.
    type: path
  secrets:
    description: Further values that are masked in all output.
    type: list
    elements: str
seealso:
  - module: vigil.monitoring.service
"""

EXAMPLES = r"""
- name: Give postgres_exporter access to the database of the shop
  vigil.monitoring.postgres_monitoring_role:
    name: postgres-exp
    database: shop
"""

RETURN = r"""
reachable:
  description: Whether the server answered.
  returned: always
  type: bool
statements:
  description: Statements that were executed, without passwords.
  returned: always
  type: list
  elements: str
  sample: ['CREATE ROLE "postgres-exp" LOGIN;', 'GRANT pg_monitor TO "postgres-exp";']
"""

import os

from ansible_collections.vigil.monitoring.plugins.module_utils import _postgres
from ansible_collections.vigil.monitoring.plugins.module_utils._host import HostError
from ansible_collections.vigil.monitoring.plugins.module_utils._module import Module
from ansible_collections.vigil.monitoring.plugins.module_utils._postgres_server import (
    OPTIONS,
    NotThere,
    Refused,
    Role,
    Server,
    Unreachable,
)


def have(module, server):
    """Make the role what it has to be, or tell what is missing; returns the statements as they may be shown."""
    role = Role(module.params, server)
    if module.check_mode or module.params["config_dir"]:
        return [shown for dummy, shown in role.missing(role.inspect())]
    return role.make()


def drop(module, server):
    """Take the role away; returns the statements."""
    name, database = module.params["name"], module.params["database"]
    state = _postgres.seen(server.say(_postgres.inspect(name, database)))
    if state["role"] is None:
        return []
    wanted = [
        _postgres.grant_connect(name, database).replace("GRANT", "REVOKE").replace(" TO ", " FROM "),
        "DROP ROLE {0};".format(_postgres.identifier(name)),
    ]
    if not module.check_mode:
        server.say("\n".join(wanted))
    return wanted


def main():
    """Entry point."""
    module = Module(
        argument_spec={
            **OPTIONS,
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "config_dir": {"type": "path"},
            "secrets": {"type": "list", "elements": "str", "no_log": True},
        },
        supports_check_mode=True,
    )
    work = have if module.params["state"] == "present" else drop
    try:
        said = work(module, Server(module.params))
    except NotThere as error:
        if not module.check_mode:
            module.fail_json(msg=str(error), reachable=False, statements=[])
        module.warn("{0}; check mode cannot tell what would be changed".format(error))
        module.exit_json(changed=True, reachable=False, statements=[])
    except Unreachable as error:
        module.warn("the database cannot be reached, so the role {0} was not checked: {1}".format(
            module.params["name"], error))  # fmt: skip
        module.exit_json(changed=False, reachable=False, statements=[])
    except HostError as error:
        module.fail_json(msg=str(error), reachable=True, statements=[])
    except Refused as error:
        module.fail_json(
            msg="PostgreSQL does not allow {0} to manage the role {1}: {2}".format(
                module.params["admin_user"] or "the system user " + module.params["admin_system_user"],
                module.params["name"],
                error,
            ),
            reachable=True,
            statements=[],
        )
    # A run that was killed may have changed it, and has not seen whether the service works with that.
    begun = bool(module.params["config_dir"]) and os.path.exists(_postgres.journal(module.params["config_dir"]))
    result = {"changed": bool(said) or begun, "reachable": True, "statements": said}
    if module._diff:
        header = "role {0} of PostgreSQL".format(module.params["name"])
        after = "".join(statement + "\n" for statement in said)
        result["diff"] = {"before_header": header, "after_header": header, "before": "", "after": after}
    module.exit_json(**result)


if __name__ == "__main__":
    main()
