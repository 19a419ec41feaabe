#!/usr/bin/python
# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: report
short_description: Write a readable report of the checklists of all Prometheus servers
version_added: 0.2.0
author:
  - Contributors to vigil.monitoring (@vigil-monitoring)
description:
  - Prints the results of M(vigil.monitoring.checklist), with a section for each host of the play, and writes them to
    files on the controller - Markdown, and HTML that loads no external resources and needs no JavaScript.
  - Sends it by e-mail and to Slack where that is wanted - what needs attention and what has changed as the message, and the
    whole report as an attachment of the e-mail.
  - Each file is written atomically, and is readable by its owner and group only.
  - Hosts without results have a section that says so. If no host has any, or one of them could not be queried, the task
    fails after the report is written; the findings themselves are never a failure of the task.
  - Runs once, on the controller only.
options:
  results:
    description:
      - Name of the variable that the result of M(vigil.monitoring.checklist) was registered in.
      - Without it nothing is reported. The other options are validated, O(mail) and O(slack) included, so that a report that could
        never be sent ends before any server is queried.
    type: str
  formats:
    description: Formats of the report; V(text) is printed, the others are files.
    type: list
    elements: str
    choices: [text, markdown, html]
    default: [text, markdown, html]
  directory:
    description:
      - Directory of the files, on the controller. It is created if it does not exist.
      - A relative path is relative to the directory in which C(ansible-playbook) was started.
    type: path
    default: reports
  send:
    description:
      - V(always) sends each report where O(mail) and O(slack) say; V(findings) only one with a problem or a warning.
    type: str
    choices: [always, findings]
    default: always
    version_added: 0.4.0
  mail:
    description:
      - The SMTP server and the addresses of the e-mail, as in the configuration of Alertmanager. Without it, none is sent.
    type: dict
    version_added: 0.4.0
    suboptions:
      to:
        description: Addresses of the recipients.
        type: list
        elements: str
        required: true
      from:
        description: Address of the sender.
        type: str
        required: true
      smarthost:
        description: The SMTP server, as C(host:port). The port is 587 without one; with 465, TLS begins with the connection.
        type: str
        required: true
      auth_username:
        description: User name, if the server needs one.
        type: str
        default: ""
      auth_password:
        description: Its password.
        type: str
        default: ""
      require_tls:
        description: Whether the connection must be encrypted, by STARTTLS unless the port is 465.
        type: bool
        default: true
      ca_path:
        description: File on the controller with the certificates of the authorities to trust, instead of the system's.
        type: path
  slack:
    description: Where messages to Slack go. Without it, none is sent.
    type: dict
    version_added: 0.4.0
    suboptions:
      api_url:
        description: URL of an incoming webhook. It is a secret.
        type: str
        required: true
      channel:
        description: Channel or user, where the webhook allows to choose it.
        type: str
        default: ""
attributes:
  check_mode:
    description: The report is printed, no file is written, and nothing is sent.
    support: full
  diff_mode:
    description: Each report is new, so there is no difference to show.
    support: none
  idempotent:
    description: Each run writes a new report.
    support: none
seealso:
  - module: vigil.monitoring.checklist
"""

EXAMPLES = r"""
- name: Report on the last 24 hours
  hosts: prometheus
  gather_facts: false
  vars:
    mail:
      to: [ops@example.com]
      from: monitoring@example.com
      smarthost: smtp.example.com:587
      auth_username: monitoring
      auth_password: "{{ vault_smtp_password }}"
  tasks:
    - name: Validate where the report is sent
      vigil.monitoring.report:
        mail: "{{ mail }}"
      run_once: true

    - name: Run the checklist on each Prometheus server
      vigil.monitoring.checklist:
      register: night

    - name: Write the report
      vigil.monitoring.report:
        results: night
        directory: /srv/reports
        mail: "{{ mail }}"
      run_once: true
"""

RETURN = r"""
report:
  description: The report as text.
  type: str
  returned: with O(results), but when it was printed and the task failed
files:
  description: The files that were written, or would be in check mode.
  type: list
  elements: str
  returned: with O(results)
  sample: [/srv/reports/monitoring-24h-20261124T0414Z.html]
sent:
  description: Where the report was sent, or would be in check mode.
  type: list
  elements: str
  returned: with O(results)
  sample: [mail to ops@example.com, Slack]
"""

from ansible.module_utils.basic import AnsibleModule

FORMATS = ["text", "markdown", "html"]
MAIL = {
    "to": {"type": "list", "elements": "str", "required": True},
    "from": {"type": "str", "required": True},
    "smarthost": {"type": "str", "required": True},
    "auth_username": {"type": "str", "default": ""},
    "auth_password": {"type": "str", "default": "", "no_log": True},
    "require_tls": {"type": "bool", "default": True},
    "ca_path": {"type": "path"},
}
SLACK = {
    "api_url": {"type": "str", "required": True, "no_log": True},
    "channel": {"type": "str", "default": ""},
}
ARGUMENTS = {
    "results": {"type": "str"},
    "formats": {"type": "list", "elements": "str", "choices": FORMATS, "default": FORMATS},
    "directory": {"type": "path", "default": "reports"},
    "send": {"type": "str", "choices": ["always", "findings"], "default": "always"},
    "mail": {"type": "dict", "options": MAIL},
    "slack": {"type": "dict", "options": SLACK},
}


def main():
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    module.fail_json(msg="this module runs on the controller and needs its action plugin")


if __name__ == "__main__":
    main()
