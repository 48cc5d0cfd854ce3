"""Money: sums are exact, never of two kinds, and no odd row stops them."""

import datetime as dt
from decimal import Decimal
from pathlib import Path
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.database.kit import NOON, PATH, Clock, create, finish, move, new, owner, reported, sql
from wan_notebook.database import Database, HistoryQuery, Price, Status
from wan_notebook.money import Cost, Source, Total

KINDS = st.tuples(
    st.none()
    | st.decimals(min_value=0, max_value=10, places=4)
    | st.decimals(min_value=0, max_value=1, places=15)
    | st.sampled_from([Decimal(v) for v in ("0.03", "1E+3", "2000000.5", "0.1000000000", "0")]),
    st.sampled_from(["USD", "CNY"]),
    st.sampled_from(["reported", "estimated", "stored"]),
    st.booleans(),
)


@pytest.mark.timeout(300)  # the long profile takes it
@given(st.lists(KINDS, min_size=1, max_size=4))
def test_sums_are_exact(one_database: Database, costs: list[tuple[Decimal | None, str, str, bool]]) -> None:
    """Whatever is reported, totals are what decimals add up to, digit by digit, by source and currency."""
    notebook = uuid4().hex
    asked = [new(seed=k, notebook=notebook, is_simulated=cost[3]) for k, cost in enumerate(costs)]
    rows = one_database.create_or_join(asked, owner=owner(), simulated_ok=True, fresh=True)
    for (row, _), (amount, currency, source, _) in zip(rows, costs, strict=True):
        cost = {} if amount is None else reported(str(amount), currency, source)
        move(one_database, row.id, *PATH[:2], Status.SUCCEEDED, **cost)
    expected = Total.of(Cost(*cost[:2], Source(cost[2])) for cost in costs if not cost[3])
    page = one_database.history(HistoryQuery(notebook=notebook))
    assert page.total.unknown == expected.unknown
    assert [item for item in page.total.amounts if item[2]] == [item for item in expected.amounts if item[2]]
    by_notebook = {row.key: row.total.known() for row in one_database.cost_by("notebook")}
    assert by_notebook.get(notebook, 0) == expected.known()


def test_the_newest_reported_price_is_the_estimate(database: Database, clock: Clock) -> None:
    """What one picture cost lately: by provider and model, reported only, divided by what was delivered."""
    assert database.last_price("gateway", "wan2.6-image") is None
    finish(database, cost=reported("0.08"), pictures=2)
    clock.now += 60
    finish(database, cost=reported("0.10"), pictures=3)
    clock.now += 60
    finish(database, cost=reported("9"), provider="dashscope")
    finish(database, cost=reported("9"), is_simulated=True)
    finish(database)
    finish(database, cost=reported("9", source="estimated"))
    move(database, create(database), *PATH, **reported("0.5"))  # without a picture there is no price of one
    day = dt.datetime.fromtimestamp(NOON, tz=dt.UTC).astimezone().date()
    assert database.last_price("gateway", "wan2.6-image") == Price(Decimal("0.033334"), "USD", day)


@pytest.mark.parametrize("change", ["created_at = 1e15", "created_at = -1e15", "cost_amount = '1e29'"])
def test_an_odd_row_is_the_price_of_nothing(database: Database, tmp_path: Path, change: str) -> None:
    """One row of a damaged or foreign ledger must not stop every call that asks for the price."""
    finish(database, cost=reported("0.08"), pictures=2)
    sql(tmp_path, f"UPDATE jobs SET {change}")  # noqa: S608 - our own words
    assert database.last_price("gateway", "wan2.6-image") is None
