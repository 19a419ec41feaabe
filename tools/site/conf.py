# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sphinx' configuration of the documentation site; tools/site/build.py gathers its pages and calls Sphinx."""

from __future__ import annotations

import os
import pathlib
import zlib

project = "vigil.monitoring"
copyright = "Contributors to vigil.monitoring, GPL-3.0-or-later"
release = version = os.environ["VIGIL_VERSION"]
html_title = f"vigil.monitoring {release}"
html_theme = "furo"
html_theme_options = {
    "source_repository": "https://github.com/vigil-monitoring/vigil.monitoring/",
    "source_branch": "main",
    "top_of_page_buttons": [],
}
# In the colours of the theme: see site.css.
antsibull_ext_color_scheme = "none"
html_static_path = ["static"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_sphinx = False
extensions = ["myst_parser", "sphinx.ext.intersphinx", "sphinx_antsibull_ext", "sphinx_copybutton"]
# A link to a heading is the heading's text, as on GitHub.
myst_heading_anchors = 4
myst_enable_extensions = ["colon_fence"]
# A prompt is no part of a command.
copybutton_prompt_text = "$ "
nitpicky = True
# What antsibull-docs links to on Ansible's own site. Its list of labels is not asked for, so that a build needs no network.
ANSIBLE = "https://docs.ansible.com/ansible/latest/"
LABELS = {
    "action_plugins": "plugins/action.html#action-plugins",
    "ansible_configuration_settings": "reference_appendices/config.html#ansible-configuration-settings",
    "common_return_values": "reference_appendices/common_return_values.html#common-return-values",
}
_inventory = pathlib.Path(__file__).with_name("ansible.inv")
_lines = "".join(f"{label} std:label -1 {where} {label.replace('_', ' ')}\n" for label, where in LABELS.items())
_inventory.write_bytes(
    b"# Sphinx inventory version 2\n# Project: Ansible\n# Version: \n# The remainder of this file is compressed using zlib.\n"
    + zlib.compress(_lines.encode())
)
intersphinx_mapping = {"ansible": (ANSIBLE, str(_inventory))}
# Modules of other collections are documented on that site, too.
nitpick_ignore_regex = [("std:.*", r"ansible_collections\.(?!vigil\.monitoring\.).*")]
