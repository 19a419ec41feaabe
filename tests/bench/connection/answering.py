"""A connection to hosts that are not there: it answers as a host did from which the answers were recorded."""

from __future__ import annotations

DOCUMENTATION = """
name: answering
short_description: Answers with what a lab host has answered
description:
  - The first host, which has a container of its name, is asked by C(docker exec), and its answers are recorded. Others get these.
author: Contributors to vigil.monitoring (@vigil-monitoring)
options:
  answers:
    description: File with the answers, as JSON.
    type: path
    required: true
    vars: [{name: answering_file}]
  recorded:
    description: Whether this host is the one that is asked.
    type: bool
    default: false
    vars: [{name: answering_recorded}]
"""

import hashlib
import json
import pathlib
import subprocess

from ansible.errors import AnsibleConnectionFailure
from ansible.plugins.connection import ConnectionBase


class Connection(ConnectionBase):
    """What a converged run asks of a host is the same for all hosts: one command."""

    transport = "answering"
    has_pipelining = True

    def _connect(self):
        return self

    def exec_command(self, cmd, in_data=None, sudoable=True):
        """Status, standard output and standard error of a command."""
        super().exec_command(cmd, in_data=in_data, sudoable=sudoable)
        path = pathlib.Path(self.get_option("answers"))
        key = hashlib.sha256(cmd.encode() + b"\0" + (in_data or b"")).hexdigest()
        answers = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
        if self.get_option("recorded"):
            name = self._play_context.remote_addr
            asked = ["docker", "exec", "-i", name, "sh", "-c", cmd]
            done = subprocess.run(asked, input=in_data or b"", capture_output=True, check=False)
            answers[key] = [done.returncode, done.stdout.decode(), done.stderr.decode()]
            path.write_text(json.dumps(answers), encoding="utf-8")
        if key not in answers:
            raise AnsibleConnectionFailure("no host was asked this before: {0}".format(cmd[:500]))
        status, output, errors = answers[key]
        return status, output.encode(), errors.encode()

    def put_file(self, in_path, out_path):
        """Nothing is put on a converged host."""
        raise AnsibleConnectionFailure("{0} would be put on the host".format(in_path))

    def fetch_file(self, in_path, out_path):
        """Nothing is fetched from a converged host."""
        raise AnsibleConnectionFailure("{0} would be fetched from the host".format(in_path))

    def close(self):
        """Nothing to close."""
