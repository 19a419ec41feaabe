# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
  name: grafana_dashboards
  author: Contributors to vigil.monitoring (@vigil-monitoring)
  version_added: 0.2.0
  short_description: The dashboards that Grafana is to have
  description:
    - Gives the JSON files below directories on the controller, and dashboards that are downloaded.
    - The folder of a dashboard is the directory that its file lies in; files in the directory itself have none.
    - What is no dashboard and no text beside them is refused, so that nothing is left out unnoticed.
    - A file is given as it is, but for what Grafana's provisioning does not understand, such as the inputs of an export.
    - What is downloaded is kept in the controller's cache, for good where its checksum is given, else for a day.
  options:
    _terms:
      description: Directories. A relative one is looked up where P(vigil.monitoring.user_files#lookup) looks. One that is
        not there gives nothing where O(optional).
      type: list
      elements: str
      required: true
    optional:
      description: Directories that need not be there.
      type: list
      elements: str
      default: []
    downloads:
      description: Dashboards to download, each with C(dashboard_id) and C(revision_id), or with C(dashboard_url); and maybe
        C(datasource), the name or uid for its inputs, C(folder), and C(checksum), its SHA-256.
      type: list
      elements: dict
      default: []
    datasources:
      description: The data sources, so that an input can be given the uid of the one that is named, and that dashboards of the
        collection lead to the first one of type C(alertmanager).
      type: list
      elements: dict
      default: []
    prometheus_groups:
      description: Inventory groups of Prometheus servers, as in P(vigil.monitoring.grafana_datasources#lookup). Dashboards of
        the collection change their colors at C(prometheus_thresholds), and lead to runbooks at C(prometheus_runbook_url), of
        the first server.
      type: dict
      default: {}
    cache_dir:
      description: Directory of the controller's cache. Empty means the user's own.
      type: str
      default: ''
"""

EXAMPLES = r"""
- name: Which dashboards would be deployed
  ansible.builtin.debug:
    msg: "{{ lookup('vigil.monitoring.grafana_dashboards', 'dashboards') | map(attribute='title') }}"
"""

RETURN = r"""
_raw:
  description: One list of dashboards, with C(path), C(content), C(uid), C(title) and what its verification needs.
  type: list
  elements: list
"""

import json
import os

from ansible.errors import AnsibleLookupError
from ansible.plugins.lookup import LookupBase
from ansible.utils.display import Display
from ansible_collections.vigil.monitoring.plugins.module_utils._release import (
    ReleaseError,
    check_digest,
    plain_digest,
    shown,
)
from ansible_collections.vigil.monitoring.plugins.plugin_utils._dashboard_files import (
    find_directory,
    read,
    read_tree,
    stem_of,
)
from ansible_collections.vigil.monitoring.plugins.plugin_utils._dashboards import ALERTMANAGER, AT, RUNBOOK, adjusted
from ansible_collections.vigil.monitoring.plugins.plugin_utils._files import FileProblem, places
from ansible_collections.vigil.monitoring.plugins.plugin_utils._grafana import check_dashboards, normal_dashboard
from ansible_collections.vigil.monitoring.plugins.plugin_utils._inventory import HostValues
from ansible_collections.vigil.monitoring.plugins.plugin_utils._task_cache import once_per_task
from ansible_collections.vigil.monitoring.plugins.plugin_utils._text import plain

CATALOGUE = "https://grafana.com/api/dashboards/{dashboard_id}/revisions/{revision_id}/download"


def download_of(number, entry):
    """Address, stem and name of an entry of ``grafana_dashboards``.

    :raises FileProblem: when it says too little.
    """
    name = "grafana_dashboards[{0}]".format(number)
    if entry.get("dashboard_url"):
        url = str(entry["dashboard_url"])
        return url, os.path.splitext(os.path.basename(url.split("?", maxsplit=1)[0]))[0] or "dashboard", name
    if not entry.get("dashboard_id"):
        raise FileProblem("{0} has neither dashboard_id nor dashboard_url".format(name))
    if not entry.get("revision_id"):
        raise FileProblem(
            "{0} ({1}) has no revision_id; pin one, so that every run deploys the same".format(
                name, entry["dashboard_id"]
            )
        )
    return CATALOGUE.format(**entry), str(entry["dashboard_id"]), name


class LookupModule(LookupBase):
    """Lookup plugin grafana_dashboards."""

    def run(self, terms, variables=None, **kwargs):
        """See DOCUMENTATION."""
        self.set_options(var_options=variables, direct=kwargs)
        question = (repr(terms), repr(self.get_options()), (variables or {}).get("inventory_hostname"))
        bases = places(variables, self._loader.get_basedir())
        try:
            return [once_per_task(question, lambda: self._dashboards(terms, bases, variables or {}))]
        except (FileProblem, ReleaseError) as error:
            raise AnsibleLookupError(str(error)) from error

    def _dashboards(self, terms, bases, variables):
        adjust = self._adjust(variables)
        uids = {source["name"]: source["uid"] for source in plain(self.get_option("datasources"))}
        found = []
        for directory in terms:
            optional = self.get_option("optional")
            for path, folder, text in read_tree(find_directory(str(directory), bases, optional)):
                found.append(normal_dashboard(adjust(text), path, folder, {}, stem_of(path, folder)))
        for number, entry in enumerate(plain(self.get_option("downloads"))):
            url, stem, name = download_of(number, entry)
            asked = entry.get("datasource")
            inputs = {"*": uids.get(asked, asked)} if asked else {}
            source = "{0} ({1})".format(name, shown(url))
            text = read(self._download(url, name, entry.get("checksum"), bases))
            found.append(normal_dashboard(text, source, str(entry.get("folder") or ""), inputs, stem))
        check_dashboards(found)
        return found

    def _adjust(self, variables):
        """A function that gives the text of a dashboard of the collection the thresholds, runbooks and Alertmanager of the inventory."""
        from ansible_collections.vigil.monitoring.plugins.plugin_utils._rules import load_packs  # noqa: PLC0415

        thresholds, runbook_url = self._of_prometheus(variables)
        named = [one["name"] for one in plain(self.get_option("datasources")) if one.get("type") == "alertmanager"]
        alertmanager = named[0] if named else ""

        def adjust(text):
            if not any('"{0}"'.format(key) in text for key in (AT, RUNBOOK, ALERTMANAGER)):
                return text
            try:
                found = json.loads(text)
            except ValueError:
                # Somebody's own copy: what is wrong with it is said where it is read.
                return text
            made = adjusted(found, load_packs(), thresholds, runbook_url, alertmanager)
            return json.dumps(made, indent=2, sort_keys=True, ensure_ascii=False) + "\n"

        return adjust

    def _of_prometheus(self, variables):
        """Thresholds and URL of the runbooks of the first Prometheus server; of none, those of the collection."""
        inventory = variables.get("groups") or {}
        for group in plain(self.get_option("prometheus_groups")):
            for host in inventory.get(group) or ():
                value = HostValues(variables["hostvars"], self._templar, {"groups": inventory})
                found = [value(host, "prometheus_" + name) for name in ("thresholds", "runbook_url")]
                return plain(found[0] or {}), plain(found[1])
        return {}, None

    def _download(self, url, name, checksum, bases):
        """Path of what an address holds, in the cache."""
        from ansible_collections.vigil.monitoring.plugins.module_utils._download import (  # noqa: PLC0415
            LARGEST_TEXT,
            Download,
            entry_advice,
        )
        from ansible_collections.vigil.monitoring.plugins.plugin_utils._cache import Cache  # noqa: PLC0415

        cache, wanted = (
            Cache(self.get_option("cache_dir"), bases),
            Download(url, entry_advice(name), limit=LARGEST_TEXT),
        )
        digest = plain_digest(checksum, name + ".checksum")
        if digest:
            return cache.obtain(
                digest, lambda stream: check_digest(url, wanted.into(stream), digest, name + ".checksum")
            )
        kept = cache.of_address(wanted)
        for doubt in kept.doubts:
            Display().warning(doubt)
        return kept.path
