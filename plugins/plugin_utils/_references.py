# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The files that a configuration names: secrets, certificates, keys."""

from __future__ import annotations

import posixpath
import re

import yaml

# password_file, credentials_file, api_url_file, ca_file, cert_file, client_ca_file, username_file, …
_FILE_KEY = re.compile(r"[a-z0-9_]+_file|service_account_key_path")
# These end in _file and are none that the service has to be able to read before it starts.
_NOT_REFERENCES = ("config_file", "log_file", "query_log_file", "scrape_failure_log_file")

# Below a configuration's directory: what is deployed with it, so that a path from there is good in a staged copy as well.
OWN = "monitoring_tls/"


def is_file_key(key):
    """Whether a key's value is the path of a file: ``password_file`` is one, ``rule_files`` and ``files`` are not."""
    return bool(_FILE_KEY.fullmatch(str(key))) and key not in _NOT_REFERENCES


def _walk(data):
    """Every ``(path of the file)`` below a structure."""
    if isinstance(data, dict):
        for key, value in data.items():
            if isinstance(value, str):
                if value and is_file_key(key):
                    yield value
            else:
                yield from _walk(value)
    elif isinstance(data, (list, tuple)):
        for value in data:
            yield from _walk(value)


def _parsed(data):
    """The text of a YAML file as a structure; text that is no YAML names no files."""
    if not isinstance(data, str):
        return data
    try:
        return yaml.load(data, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except yaml.YAMLError:
        # The service's own validator has the better words for it.
        return None


def file_references(data, config_dir):
    """The files that a configuration names, as sorted absolute paths without repetition.

    :param data: a structure, the text of a YAML file, or a list of these.
    :param config_dir: directory that relative paths are meant from.
    """
    parts = data if isinstance(data, list) else [data]
    paths = {path for part in parts for path in _walk(_parsed(part))}
    return sorted(posixpath.normpath(posixpath.join(config_dir, path)) for path in paths)


def anchor(data, config_dir):
    """A configuration whose references to files are absolute, but for those to :data:`OWN`, so that it means the same wherever
    its file lies."""
    if isinstance(data, dict):
        return {
            key: (
                posixpath.join(config_dir, value)
                if isinstance(value, str) and value and is_file_key(key) and not value.startswith(OWN)
                else anchor(value, config_dir)
            )
            for key, value in data.items()
        }
    if isinstance(data, list):
        return [anchor(value, config_dir) for value in data]
    return data
