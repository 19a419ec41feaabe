"""The lab: real systemd hosts in containers, and real releases in a mirror, made by the project's own files.

`python -m lab help` lists the commands; the same functions are used by the tests:

    from lab import hosts, mirror
    with hosts.host("trixie") as host:
        host.run("systemctl is-system-running")

Only the standard library is used, so that the lab can be made before the virtual environment exists.
"""
