# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where postgres_exporter finds its database, and that no secret stands where others look."""

from __future__ import annotations

import pytest
from ansible_collections.vigil.monitoring.plugins.plugin_utils import _data_source as ds
from ansible_collections.vigil.monitoring.plugins.plugin_utils._secrets import secret_values
from role_inputs import Inputs, release, room

NOTHING = {
    "name": "",
    "uri": "",
    "username": "",
    "password": "",
    "dsn_file": "",
    "config_dir": "/etc/p",
    "system_user": "exp",
}


def settings(**given):
    return {**NOTHING, **given}


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("postgresql:///postgres?host=/var/run/postgresql", ("", "", "/var/run/postgresql", "", "postgres", "")),
        ("postgres://u:p%40ss%2F@db:6432/shop?sslmode=require", ("u", "p@ss/", "db", "6432", "shop", "require")),
        ("postgresql://u@[2001:db8::1]:5433/shop", ("u", "", "2001:db8::1", "5433", "shop", "")),
        ("postgresql://db", ("", "", "db", "", "", "")),
        ("postgresql://db/shop?user=u&password=p", ("u", "p", "db", "", "shop", "")),
        ("host=db port=5433 user=u dbname=shop", ("u", "", "db", "5433", "shop", "")),
        (r"host = db password='it\'s \\ here' dbname=shop", ("", r"it's \ here", "db", "", "shop", "")),
    ],
)
def test_a_data_source_name_is_understood(name, expected):
    assert tuple(ds.parse(name)) == expected


@pytest.mark.parametrize("name", ["shop", "mysql://a/b", "host=db what", ""])
def test_what_is_no_data_source_name_is_refused_without_a_word_of_it(name):
    with pytest.raises(ValueError, match="neither postgresql://") as caught:
        ds.parse(name)
    assert not name or "mysql" not in str(caught.value)


def written(**given):
    return {entry["path"]: entry for entry in ds.source_files(settings(**given))}


def test_a_url_is_taken_apart_into_the_exporters_own_files():
    given = {"name": "postgresql://u:p%40ss@db/shop?sslmode=disable"}
    files = written(**given)
    assert {path: entry["content"] for path, entry in files.items()} == {
        "postgres_exporter_uri": "db/shop?sslmode=disable\n",
        "postgres_exporter_user": "u\n",
        "postgres_exporter_pass": "p@ss\n",
    }
    assert files["postgres_exporter_pass"]["secret"] and not files["postgres_exporter_user"]["secret"]
    source = ds.postgres_exporter_source(settings(**given))
    assert source == {
        "environment": [
            "DATA_SOURCE_URI_FILE=/etc/p/postgres_exporter_uri",
            "DATA_SOURCE_USER_FILE=/etc/p/postgres_exporter_user",
            "DATA_SOURCE_PASS_FILE=/etc/p/postgres_exporter_pass",
        ],
        "environment_file": None,
    }
    assert "p@ss" not in str(source)


def test_a_password_in_the_query_makes_the_file_secret():
    assert written(name="postgresql://db/shop?password=p")["postgres_exporter_uri"]["secret"]


def test_uri_user_and_password_stand_apart_already():
    files = written(uri="localhost:5432/shop", username="u", password="p")
    assert [entry["content"] for entry in files.values()] == ["localhost:5432/shop\n", "u\n", "p\n"]
    assert set(written(uri="localhost/shop")) == {"postgres_exporter_uri"}


@pytest.mark.parametrize("name", ["postgresql://u:p@a/x,postgresql://u:p@b/x", 'user=u password=p"$`\\ host=a'])
def test_what_three_files_cannot_say_goes_into_one_that_only_root_reads(name):
    (entry,) = written(name=name).values()
    assert (entry["path"], entry["mode"], entry["secret"]) == ("data_source.env", "0600", True)
    assert ds.postgres_exporter_source(settings(name=name)) == {
        "environment": [],
        "environment_file": "/etc/p/data_source.env",
    }
    if '"' in name:
        assert entry["content"] == 'DATA_SOURCE_NAME="user=u password=p\\"\\$\\`\\\\ host=a"\n'


def test_a_file_of_the_users_own_is_named_and_not_written():
    given = settings(dsn_file="/run/secrets/dsn", name="postgresql://u:p@a/x")
    assert ds.source_files(given) == []
    assert ds.postgres_exporter_source(given)["environment_file"] == "/run/secrets/dsn"
    assert ds.first(given) is None


@pytest.mark.parametrize(
    ("given", "name", "database", "password"),
    [
        ({"name": "postgresql:///shop?host=/run/postgresql"}, "exp", "shop", ""),
        ({"name": "postgresql://u:p@a/x,postgresql://v@b/y"}, "u", "x", "p"),
        ({"uri": "localhost/shop", "username": "u", "password": "p"}, "u", "shop", "p"),
        ({"uri": "localhost", "username": "u"}, "u", "u", ""),
    ],
)
def test_the_role_is_the_one_that_the_exporter_logs_in_as(given, name, database, password):
    role = ds.postgres_role(settings(**given))
    assert (role["name"], role["database"], role["password"]) == (name, database, password)


def test_there_is_always_a_configuration_as_without_one_its_reload_counts_as_failed():
    inputs = Inputs("postgres_exporter", config_file="c.yml", name="", uri="")
    assert room("postgres_exporter").files(inputs, release("postgres_exporter")) == [
        {"path": "c.yml", "data": {"auth_modules": {}}}
    ]


@pytest.mark.parametrize(
    "name",
    [
        "postgresql://u:hunter2pw@db/x",
        "postgresql://db/x?password=hunter2pw",
        "host=db password=hunter2pw",
        "password='hunter2pw' a=b",
    ],
)
def test_the_password_in_a_data_source_name_is_known_as_a_secret(name):
    assert secret_values([name]) == ["hunter2pw"]
