# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How a module reaches a service."""

from __future__ import annotations


class ModuleDocFragment:
    """Options that modules share which send requests to a service, whoever deployed it."""

    DOCUMENTATION = r"""
options:
  url_username:
    description: User name for HTTP basic authentication. It is sent with the first request.
    type: str
  url_password:
    description: Password for HTTP basic authentication.
    type: str
  client_cert:
    description: File with the certificate, and maybe the key, to show to the server.
    type: path
  client_key:
    description: File with the key that belongs to O(client_cert), where it is not in the same file.
    type: path
  ca_path:
    description: File with the certificates of the authorities to trust instead of the system's.
    type: path
  validate_certs:
    description: Check the server's certificate.
    type: bool
    default: true
  check_name:
    description: Check that the certificate is for the name in the URL. V(false) is for an address of the loopback.
    type: bool
    default: true
  use_proxy:
    description: Go through the proxy that the environment variables of the host name.
    type: bool
    default: true
"""

    ALERTMANAGER = r"""
options:
  alertmanager_url:
    description:
      - Where Alertmanager is served, with the path of its C(--web.external-url) or C(--web.route-prefix) if it has one.
      - A user name and password in it are used as O(url_username) and O(url_password), and shown nowhere.
    type: str
    required: true
  timeout:
    description: Seconds for each request.
    type: float
    default: 10
"""
