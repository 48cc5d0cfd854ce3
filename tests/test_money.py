"""A cost is an amount with a source: it compares and formats as a number, and an unknown one never passes for one."""

from __future__ import annotations

from decimal import Decimal

import pytest

from wan_notebook.money import Cost, Source

KNOWN = Cost(Decimal("0.06"), "USD", Source.REPORTED)
UNKNOWN = Cost()


def test_a_known_cost_compares_with_numbers_by_its_amount() -> None:
    """What people write about ``job.cost`` in a cell holds, and it stays one with its own kind."""
    assert Decimal("0.06") == KNOWN
    assert Decimal("0.07") != KNOWN
    assert 0 < KNOWN <= 0.5
    assert Decimal("0.06") <= KNOWN
    assert float(KNOWN) == 0.06
    assert Cost(Decimal("0.05"), "USD", Source.ESTIMATED) < KNOWN
    assert Cost(Decimal("0.06"), "USD", Source.ESTIMATED) != KNOWN
    assert hash(KNOWN) == hash(Decimal("0.06"))


def test_an_unknown_cost_is_no_number() -> None:
    """It equals nothing, 0 least of all, and whoever puts it in order is told why that cannot be."""
    assert UNKNOWN != 0
    assert Cost() == UNKNOWN
    for ask in (lambda: UNKNOWN > 0, lambda: UNKNOWN <= KNOWN, lambda: KNOWN < UNKNOWN, lambda: float(UNKNOWN)):
        with pytest.raises(ValueError, match="price is not known"):
            ask()


def test_costs_of_two_currencies_have_no_order() -> None:
    """Nobody said what one is in the other."""
    with pytest.raises(ValueError, match="are not compared"):
        assert Cost(Decimal(1), "EUR", Source.REPORTED) > KNOWN


@pytest.mark.parametrize(
    ("cost", "spec", "text"),
    [
        (KNOWN, "", "$0.06"),
        (KNOWN, ".3f", "0.060"),
        (KNOWN, ">7", "  $0.06"),
        (UNKNOWN, ".2f", "price unknown"),
        (UNKNOWN, "", "price unknown"),
    ],
)
def test_a_cost_in_a_format(cost: Cost, spec: str, text: str) -> None:
    """A number's format takes the amount, any other the words; unknown stays in words."""
    assert format(cost, spec) == text
