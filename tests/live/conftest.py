"""What the live tests share: the demo's stack, an application under load with everything that monitors it."""

from __future__ import annotations

import pytest

from lab import stack as lab_stack


@pytest.fixture(scope="session")
def stack(tmp_path_factory):
    """The stack, deployed once for all tests; each leaves it as it was."""
    with lab_stack.stack(tmp_path_factory.mktemp("stack")) as made:
        yield made
