#!/usr/bin/python
# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: report
short_description: Make a readable report of the checklists of all Prometheus servers
version_added: 0.2.0
author:
  - Contributors to vigil.monitoring (@vigil-monitoring)
description:
  - Prints what M(vigil.monitoring.checklist) found, with a section for each host of the play, and writes it to
    files on the controller - Markdown, and HTML that loads nothing and needs no JavaScript.
  - Each file is written as a whole or not at all, and others than its owner and group cannot read it.
  - Hosts without answers have a section that says so. When no host has any, or one of them could not be asked, the task
    fails after the report is written; what the report says is never a failure.
  - Runs once, on the controller alone.
options:
  results:
    description: Name of the variable in which M(vigil.monitoring.checklist) was registered.
    type: str
    required: true
  formats:
    description: What to make of it; V(text) is printed, the others are files.
    type: list
    elements: str
    choices: [text, markdown, html]
    default: [text, markdown, html]
  directory:
    description:
      - Directory of the files, on the controller. It is made where it is missing.
      - A relative path is meant from the directory in which C(ansible-playbook) was started.
    type: path
    default: reports
attributes:
  check_mode:
    description: The report is printed, and no file is written.
    support: full
  diff_mode:
    description: A report is new each time, so there is no difference to show.
    support: none
  idempotent:
    description: Each run writes a report of its own time.
    support: none
seealso:
  - module: vigil.monitoring.checklist
"""

EXAMPLES = r"""
- name: Report of the night
  hosts: prometheus
  gather_facts: false
  tasks:
    - name: Ask each Prometheus
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
