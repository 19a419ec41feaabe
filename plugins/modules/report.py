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
  - Each file is written atomically, and is readable by its owner and group only.
  - Hosts without results have a section that says so. If no host has any, or one of them could not be queried, the task
    fails after the report is written; the findings themselves are never a failure of the task.
  - Runs once, on the controller only.
options:
  results:
    description: Name of the variable that the result of M(vigil.monitoring.checklist) was registered in.
    type: str
    required: true
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
attributes:
  check_mode:
    description: The report is printed, and no file is written.
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
  tasks:
    - name: Run the checklist on each Prometheus server
      vigil.monitoring.checklist:
      register: night

    - name: Write the report
      vigil.monitoring.report:
        results: night
        directory: /srv/reports
      run_once: true
"""

RETURN = r"""
report:
  description: The report as text.
  type: str
  returned: always, but when it was printed and the task failed
files:
  description: The files that were written, or would be in check mode.
  type: list
  elements: str
  returned: always
  sample: [/srv/reports/monitoring-24h-20261124T0414Z.html]
"""

from ansible.module_utils.basic import AnsibleModule

FORMATS = ["text", "markdown", "html"]
ARGUMENTS = {
    "results": {"type": "str", "required": True},
    "formats": {"type": "list", "elements": "str", "choices": FORMATS, "default": FORMATS},
    "directory": {"type": "path", "default": "reports"},
}


def main():
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    module.fail_json(msg="this module runs on the controller and needs its action plugin")


if __name__ == "__main__":
    main()
