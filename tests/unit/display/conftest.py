"""A folder with jobs, for what shows them."""

from collections.abc import Iterator

import pytest

from tests.kit import House


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """One folder and service for a file's tests."""
    made = House(tmp_path_factory.mktemp("house"))
    yield made
    made.close()
