# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The database of postgres_exporter: data source names in, files and environment out.

postgres_exporter (0.15 to 0.20) reads ``DATA_SOURCE_URI_FILE``, ``_USER_FILE`` and ``_PASS_FILE``, which define one
database, and ``DATA_SOURCE_NAME``, which cannot be read from a file and may contain several, separated by commas. If possible,
the three files are used; otherwise an environment file for systemd that only root can read.
"""

from __future__ import annotations

import re
from typing import NamedTuple
from urllib.parse import parse_qsl, unquote

ENVIRONMENT_FILE = "data_source.env"
# Names of the files, as with prometheus.prometheus.
FILES = {"URI": "postgres_exporter_uri", "USER": "postgres_exporter_user", "PASS": "postgres_exporter_pass"}
LOCAL = ("", "localhost", "127.0.0.1", "::1")

_URL = re.compile(r"postgres(?:ql)?://(?:(?P<user>[^:@/?]*)(?::(?P<password>[^@/?]*))?@)?(?P<rest>.*)", re.DOTALL)
_REST = re.compile(
    r"(?P<host>\[[^\]]*\]|[^:/?]*)(?::(?P<port>\d*))?(?:/(?P<database>[^?]*))?(?:\?(?P<query>.*))?", re.DOTALL
)
# https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-CONNSTRING-KEYWORD-VALUE
_PAIR = re.compile(r"\s*(\w+)\s*=\s*(?:'((?:[^'\\]|\\.)*)'|((?:[^\s'\\]|\\.)*))\s*")


class DataSource(NamedTuple):
    """The connection settings of a database.

    :ivar host: name, address, or directory of the server's socket; ``""`` for the default one.
    :ivar port: as text; ``""`` for the default one.
    """

    user: str
    password: str
    host: str
    port: str
    database: str
    sslmode: str


def parse(name):
    """One data source name, a URL or ``key=value`` pairs.

    :raises ValueError: when it is neither; the message does not contain it.
    """
    url = _URL.fullmatch(name)
    if url:
        return parse_uri(url["rest"], unquote(url["user"] or ""), unquote(url["password"] or ""))
    found, position = {}, 0
    while position < len(name):
        pair = _PAIR.match(name, position)
        if not pair:
            break
        found[pair[1]] = re.sub(r"\\(.)", r"\1", pair[2] if pair[2] is not None else pair[3])
        position = pair.end()
    if not found or position < len(name):
        raise ValueError("is neither postgresql://USER:PASSWORD@HOST:PORT/DATABASE nor key=value pairs")
    return DataSource(*(found.get(key, "") for key in ("user", "password", "host", "port", "dbname", "sslmode")))


def parse_uri(uri, user, password):
    """Parse ``DATA_SOURCE_URI``, a URL without scheme and user.

    :raises ValueError: when it is invalid.
    """
    rest = _REST.fullmatch(uri)
    if not rest or "://" in uri:
        raise ValueError("is not HOST:PORT/DATABASE?OPTION=VALUE without the prefix postgresql://")
    query = dict(parse_qsl(rest["query"] or "", keep_blank_values=True))
    return DataSource(
        query.get("user") or user,
        query.get("password") or password,
        query.get("host") or unquote(rest["host"]).strip("[]"),
        query.get("port") or rest["port"] or "",
        query.get("dbname") or unquote(rest["database"] or ""),
        query.get("sslmode") or "",
    )


def first(settings):
    """The first database of an exporter, or None if it is not known here.

    :param settings: dict with ``name``, ``uri``, ``username``, ``password`` and ``dsn_file``.
    :raises ValueError: see :func:`parse`.
    """
    if settings["dsn_file"]:
        return None
    if settings["name"]:
        return parse(settings["name"].split(",")[0])
    if settings["uri"]:
        return parse_uri(settings["uri"], settings["username"], settings["password"])
    return None


def _parts(settings):
    """The contents of the three files: part -> text; None if they cannot express it."""
    if not settings["name"]:
        if not settings["uri"]:
            return {}
        found = {"URI": settings["uri"], "USER": settings["username"], "PASS": settings["password"]}
    else:
        url = _URL.fullmatch(settings["name"])
        if not url or "," in settings["name"]:
            return None
        found = {"URI": url["rest"], "USER": unquote(url["user"] or ""), "PASS": unquote(url["password"] or "")}
    # The exporter strips blanks.
    return {part: text for part, text in found.items() if text}


def postgres_exporter_source(settings):
    """The unit's settings for the database: ``environment``, a list of assignments, and ``environment_file``.

    :param settings: as for :func:`first`, with ``config_dir``.
    """
    if settings["dsn_file"]:
        return {"environment": [], "environment_file": settings["dsn_file"]}
    parts = _parts(settings)
    if parts is None:
        return {"environment": [], "environment_file": "{0}/{1}".format(settings["config_dir"], ENVIRONMENT_FILE)}
    return {
        "environment": [
            "DATA_SOURCE_{0}_FILE={1}/{2}".format(part, settings["config_dir"], FILES[part]) for part in parts
        ],
        "environment_file": None,
    }


def source_files(settings):
    """The files that :func:`postgres_exporter_source` refers to, except one of the user's own.

    :param settings: as for :func:`postgres_exporter_source`, optionally with ``reads_environment``.
    """
    if settings["dsn_file"]:
        return []
    parts = _parts(settings)
    if parts is None:
        # See systemd.exec(5), EnvironmentFile.
        quoted = re.sub(r'(["\\$`])', r"\\\1", settings["name"])
        return [
            {
                "path": ENVIRONMENT_FILE,
                "content": 'DATA_SOURCE_NAME="{0}"\n'.format(quoted),
                # Only root reads it for systemd; in a container the service does.
                "mode": "0640" if settings.get("reads_environment") else "0600",
                "secret": True,
            }
        ]
    return [
        {"path": FILES[part], "content": text + "\n", "secret": part == "PASS" or "password=" in text}
        for part, text in parts.items()
    ]


def postgres_role(settings):
    """The PostgreSQL role of the exporter: options of the module postgres_monitoring_role.

    :param settings: as for :func:`first`, with ``system_user``, the default role name.
    :raises ValueError: when the database is not known.
    """
    source = first(settings)
    if source is None:
        raise ValueError("the database in which postgres_exporter needs a role is not known")
    return {
        "name": source.user or settings["system_user"],
        "password": source.password,
        # As in libpq: the default database name is the user name.
        "database": source.database or source.user or settings["system_user"],
        "host": source.host,
        "port": source.port or "5432",
        "sslmode": source.sslmode,
    }


# Entrypoint of a container that reads its variables itself: as container options, everyone with access to the engine could
# read them. Values may be quoted, as in systemd.exec(5).
READ_ENVIRONMENT = r"""
while IFS= read -r line || [ -n "$line" ]; do
  case $line in [A-Za-z_]*=*) ;; *) continue ;; esac
  value=${line#*=}
  case $value in
    \"*\") value=${value#\"}; value=$(printf %s "${value%\"}" | sed 's/\\\([\\"$`]\)/\1/g') ;;
    \'*\') value=${value#\'}; value=${value%\'} ;;
  esac
  export "${line%%=*}=$value"
done <"$0"
exec "$@"
"""


def container_source(settings):
    """The options of docker_container for the exporter's database.

    :param settings: as for :func:`postgres_exporter_source`, and ``argv`` and ``user``.
    """
    source = postgres_exporter_source(settings)
    # The default role is the system user's name; inside the container that user has only a number.
    options = {"env": {"PGUSER": settings["user"]}}
    options["env"].update(assignment.split("=", 1) for assignment in source["environment"])
    if source["environment_file"]:
        options["entrypoint"] = ["/bin/sh", "-c", READ_ENVIRONMENT, source["environment_file"]]
        options["command"] = list(settings["argv"])
    database = first(settings)
    if database and database.host.startswith("/"):
        options["volumes"] = ["{0}:{0}:ro".format(database.host)]
    return options
