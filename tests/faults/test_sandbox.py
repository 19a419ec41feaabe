"""What a service is given in a directory that its hardening hides: it is let through, and nothing else of that directory."""

from __future__ import annotations


def test_data_tokens_and_directories_below_home(bare):
    host = bare.host
    host.run(
        "mkdir -p /home/ann /home/shared; echo secret >/home/ann/private; echo token >/home/tok;"
        " chmod 755 /home/ann; chmod 644 /home/tok /home/ann/private"
    )
    bare.variables.update(
        prometheus_db_dir="/home/prom/data",
        prometheus_read_only_dirs=["/home/shared"],
        prometheus_scrape_configs=[
            {
                "job_name": "guarded",
                "authorization": {"credentials_file": "/home/tok"},
                "static_configs": [{"targets": ["127.0.0.1:9090"]}],
            }
        ],
    )
    only = {"groups": ("prometheus",)}
    outcome = bare.run(**only).must_be_green(changed=True)
    assert "2/2" in outcome.output, outcome.output
    # As the service sees it: what it was given, and nobody else's files.
    seen = f"nsenter -t {bare.pid('prometheus')} -m"
    assert host.run(f"{seen} cat /home/tok").stdout == "token\n"
    assert host.run(f"{seen} ls /home").stdout.split() == ["prom", "shared", "tok"]
    assert host.run("ls /home/prom/data").stdout
    bare.run(**only).must_be_green(changed=False)
