# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The services that the collection deploys and proves: one entry for each, in the order of their deployment."""

from __future__ import annotations

from typing import NamedTuple, Optional

RELOAD, RESTART = "reload", "restart"


class Service(NamedTuple):
    """What sets a service apart from the others.

    :ivar ready_path: path that answers 200 once the service is ready; None: whoever serves metrics is ready.
    :ivar on_change: how it takes up a changed configuration: ``reload`` on SIGHUP, told in its metrics; ``restart``;
        or None where it reads its files anew each time.
    :ivar dependency: gauge that is 0 while it cannot reach what it depends on, and what that is.
    :ivar version_in: metric that tells its version, and the label; None: ``version`` of ``<service>_build_info``.
    :ivar shows: path at which it shows the configuration that it has loaded; None where it shows none.
    :ivar hashed: metric that tells the configurations that it has loaded apart, where it has one.
    :ivar loads_all_of: directories below its configuration directory of which it loads whatever lies there.
    :ivar web: suffix of the variable that has the TLS of its web interface.
    :ivar stops_at: an argument at which the program ends once it has looked at all others, before it does anything.
    :ivar unit: name of its systemd service and of its container, where that is another than that of its role.
    """

    ready_path: Optional[str] = None
    on_change: Optional[str] = None
    dependency: Optional[tuple] = None
    version_in: Optional[tuple] = None
    shows: Optional[str] = None
    hashed: Optional[str] = None
    loads_all_of: tuple = ()
    stops_at: Optional[str] = None
    unit: Optional[str] = None
    web: str = "tls_server_config"


# A service's name is that of its role, of the inventory group whose hosts run it, and the prefix of its own metrics.
SERVICES = {
    "node_exporter": Service(stops_at="--path.procfs=/dev/null/none"),
    "blackbox_exporter": Service(on_change=RELOAD, shows="/config"),
    "postgres_exporter": Service(on_change=RESTART, dependency=("pg_up", "database")),
    "cadvisor": Service(ready_path="/healthz", version_in=("cadvisor_version_info", "cadvisorVersion")),
    "alertmanager": Service(
        ready_path="/-/ready",
        on_change=RELOAD,
        hashed="alertmanager_config_hash",
        loads_all_of=("templates",),
        web="web_config",
        stops_at="--storage.path=/dev/null/none",
    ),
    "prometheus": Service(
        ready_path="/-/ready",
        on_change=RELOAD,
        shows="/api/v1/status/config",
        loads_all_of=("rules", "scrape_configs"),
        web="web_config",
        stops_at="--config.file=/dev/null/none",
    ),
    "grafana": Service(ready_path="/api/health", on_change=RESTART, unit="grafana-server", web="server"),
}
RELOADING = tuple(name for name, service in SERVICES.items() if service.on_change == RELOAD)


def groups_of(given):
    """Service -> inventory group whose hosts run it.

    :param given: the user's own mapping, complete; None for the groups of the services' names.
    """
    return {service: service for service in SERVICES} if given is None else given
