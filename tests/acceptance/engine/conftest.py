"""Fixtures of the engine's tests: rigs in fast time."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kit import Rig, rig


@pytest.fixture
def made(tmp_path: Path) -> Iterator[Rig]:
    """A folder and the gateway, in this process and in fast time."""
    with rig(tmp_path) as found:
        yield found


@pytest.fixture
def dashscope(tmp_path: Path) -> Iterator[Rig]:
    """The same with DashScope, which has a list of tasks and can cancel."""
    with rig(tmp_path, provider="dashscope") as found:
        yield found
