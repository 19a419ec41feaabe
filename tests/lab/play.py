"""Running ansible-playbook to its end, and how it ended."""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Outcome:
    """How a run of ansible-playbook ended.

    :ivar status: its exit status.
    :ivar output: standard output and error together.
    """

    status: int
    output: str

    def count(self, word: str) -> int:
        """The sum of ``changed``, ``failed`` or ``unreachable`` over the hosts of the recap."""
        return recap(self.output, word)

    @property
    def green(self) -> bool:
        return self.status == 0

    def must_be_green(self, changed: bool | None = None) -> Outcome:
        """Fail the test, with the output, unless the run was green (and changed something, or nothing)."""
        assert self.status == 0, self.output
        if changed is not None:
            assert (self.count("changed") > 0) == changed, self.output
        return self

    def must_be_red(self, *words: str) -> Outcome:
        """Fail the test, with the output, unless the run was red and said all of these words."""
        assert self.status != 0, self.output
        folded = re.sub(r"\s+", " ", self.output)
        for word in words:
            assert word in folded, f"{word!r} is not said in:\n{self.output}"
        return self


def recap(output: str, word: str) -> int:
    """The sum of ``ok``, ``changed`` or ``skipped`` over the hosts of a run's recap."""
    return sum(int(number) for number in re.findall(rf"\b{word}=(\d+)", output))


def run(argv: list[str], folder: Path, environment: dict[str, str], timeout: float | None = None) -> Outcome:
    """Run a playbook, for at most some seconds.

    :param argv: the whole command line.
    :param folder: the working directory.
    """
    done = subprocess.run(
        argv,
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=timeout,
        check=False,
    )
    return Outcome(done.returncode, done.stdout)
