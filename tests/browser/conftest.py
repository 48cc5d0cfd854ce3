"""Fixtures for front-end modules; `tests.browser.page` tells how to use them."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.browser.page import WidgetPage

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark everything in this folder `browser`."""
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.browser)


@pytest.fixture
def widgets(chromium: Any) -> Iterator[WidgetPage]:
    """Give a bare page for the package's front-end modules."""
    page = WidgetPage(chromium)
    yield page
    page.context.close()
    assert not page.problems, f"in the page: {page.problems}"
