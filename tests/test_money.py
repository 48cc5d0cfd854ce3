"""A cost is an amount with a source: it compares and formats as a number, and an unknown one never passes for one."""

from __future__ import annotations

from decimal import Decimal

import pytest

from wan_notebook.jobs.several import together
from wan_notebook.money import Cost, Source, Total

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


def test_costs_add_up_with_sources_and_currencies_apart() -> None:
    """A sum says what was reported, what estimated, and how much is not known; practice adds nothing."""
    guess, yuan = Cost(Decimal("0.03"), "USD", Source.ESTIMATED), Cost(Decimal("0.20"), "CNY", Source.REPORTED)
    free = Cost.zero(Source.SIMULATED)

    assert KNOWN + KNOWN == sum([KNOWN, KNOWN]) == Total(((Source.REPORTED, "USD", Decimal("0.12")),))
    assert str(KNOWN + guess + yuan + UNKNOWN + free) == "¥0.20 reported + $0.06 reported + $0.03 estimated + 1 unknown"
    assert sum([KNOWN, guess, yuan]) == yuan + (guess + KNOWN) == (KNOWN + guess) + (yuan + free)
    assert sum([KNOWN]) == KNOWN + 0 == Total.of([KNOWN])
    assert (KNOWN + guess + yuan).known("USD") == Decimal("0.09")
    assert sum([UNKNOWN, UNKNOWN]) == Total(unknown=2)


def test_a_cost_of_several_jobs_adds_what_is_known_of_it() -> None:
    """What has no single amount, as of a handle whose jobs cost in two currencies, still counts part by part."""
    both = together([KNOWN, Cost(Decimal(1), "CNY", Source.REPORTED), UNKNOWN])

    assert both.amount is None
    assert both + KNOWN == Total.of([KNOWN, Cost(Decimal(1), "CNY", Source.REPORTED), UNKNOWN, KNOWN])


@pytest.mark.parametrize("other", [0.05, 1, Decimal("0.05"), "0.05", None])
def test_a_bare_number_is_not_added_to_a_cost(other: object) -> None:
    """Nobody said of which currency it is."""
    for add in (lambda: KNOWN + other, lambda: other + KNOWN, lambda: (KNOWN + KNOWN) + other):
        with pytest.raises(TypeError):
            add()
