"""Sums of money: exact, and never of two kinds."""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.ledger_kit import NOON, WAY, create, draft, finish, move, reported, saved_picture
from wan_notebook.ledger import DurationKey, HistoryQuery, JobDraft, Ledger, LedgerError, Price, Spend
from wan_notebook.ledger.creating import new_id
from wan_notebook.money import Cost, Source, Total
from wan_notebook.states import JobState


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    """A ledger of its own."""
    with Ledger.open(tmp_path / "ledger.db", wall_clock=lambda: NOON) as opened:
        yield opened


def usd(spend: Spend) -> tuple[Decimal, Decimal]:
    """Return what is spent and reserved in dollars."""
    return spend.total.known(), spend.reserved.known()


def test_open_jobs_are_reserved_and_ended_ones_spent(ledger: Ledger) -> None:
    """Money moves from reserved to spent when the service has said what it was; ``in_doubt`` stays reserved."""
    job_id = create(ledger)
    assert usd(ledger.spend()) == (0, Decimal("0.06"))
    doubt = create(ledger)
    move(ledger, doubt, JobState.SENDING, JobState.IN_DOUBT)
    assert usd(ledger.spend()) == (0, Decimal("0.12"))
    move(ledger, job_id, *WAY[:4], **reported("0.05"))
    assert usd(ledger.spend()) == (Decimal("0.05"), Decimal("0.06"))
    move(ledger, job_id, JobState.SAVED)
    assert usd(ledger.spend()) == (Decimal("0.05"), Decimal("0.06"))
    assert ledger.spend().total.unknown == 0


@pytest.mark.parametrize("way", [[JobState.REFUSED], [JobState.CANCELLED], [*WAY[:2], JobState.FAILED]])
def test_what_was_not_made_costs_nothing(ledger: Ledger, way: list[JobState]) -> None:
    """Failed, refused and cancelled jobs count 0 and release what was reserved."""
    move(ledger, create(ledger), *way)
    spend = ledger.spend()
    assert usd(spend) == (0, 0)
    assert (spend.total.unknown, spend.reserved.unknown, spend.pictures_made, spend.pictures_reserved) == (0, 0, 0, 0)


def test_an_unknown_cost_is_counted_and_is_not_zero(ledger: Ledger) -> None:
    """Pictures whose price nobody said stand beside the sums as their number, as do jobs without an estimate."""
    finish(ledger)
    create(ledger, reserved_amount=None, reserved_currency="")
    spend = ledger.spend()
    assert (spend.total.unknown, spend.reserved.unknown) == (1, 1)
    assert ledger.history().total.unknown == 1


def test_a_finished_job_counts_once(ledger: Ledger) -> None:
    """A job that is made and not fetched yet is reserved, not unknown as well."""
    move(ledger, create(ledger), *WAY[:4])
    spend = ledger.spend()
    assert (usd(spend), spend.total.unknown) == ((0, Decimal("0.06")), 0)


def test_pictures_are_counted_made_and_reserved(ledger: Ledger) -> None:
    """A cap on pictures counts those made, those that open jobs may make, and those that expired unfetched."""
    finish(ledger, pictures=1)
    create(ledger, n=4)
    half = create(ledger, n=3)
    move(ledger, half, *WAY[:4], pictures=[saved_picture(0)])
    move(ledger, create(ledger, n=2), *WAY[:3], JobState.EXPIRED)
    spend = ledger.spend()
    assert (spend.pictures_made, spend.pictures_reserved, spend.jobs) == (1 + 2, 4 + 3, 4)


def test_simulated_and_real_never_mix(ledger: Ledger) -> None:
    """A practice picture spends no money and takes no room under a cap of real ones, and the reverse."""
    finish(ledger, simulated=True)
    create(ledger, simulated=True)
    real = ledger.spend()
    assert (usd(real), real.jobs, real.pictures_made, real.total.unknown) == ((0, 0), 0, 0, 0)
    practice = ledger.spend(simulated=True)
    assert (practice.jobs, practice.pictures_made, practice.pictures_reserved) == (2, 1, 2)
    assert ledger.history().total == Total()
    assert ledger.cost_by("day") == []


def test_a_budget_sees_its_day_and_its_notebook(ledger: Ledger) -> None:
    """Caps per day count from a time on, caps per notebook count that notebook."""
    finish(ledger, cost=reported("0.01"), notebook="a.ipynb", created_at=NOON - 100)
    finish(ledger, cost=reported("0.02"), notebook="a.ipynb", created_at=NOON)
    create(ledger, notebook="b\x00.ipynb", created_at=NOON + 1)
    assert usd(ledger.spend()) == (Decimal("0.03"), Decimal("0.06"))
    assert usd(ledger.spend(since=NOON)) == (Decimal("0.02"), Decimal("0.06"))
    assert usd(ledger.spend(notebook="a.ipynb")) == (Decimal("0.03"), 0)
    assert usd(ledger.spend(since=NOON, notebook="b\x00.ipynb")) == (0, Decimal("0.06"))


def test_currencies_and_sources_stay_apart(ledger: Ledger) -> None:
    """Dollars and yuan, reported and estimated are four sums, never one."""
    finish(ledger, cost=reported("0.10"))
    finish(ledger, cost=reported("1.25", "CNY"))
    finish(ledger, cost={"cost_amount": Decimal("0.36"), "cost_currency": "USD", "cost_source": "estimated"})
    assert ledger.spend().total == Total(
        (
            (Source.ESTIMATED, "USD", Decimal("0.36")),
            (Source.REPORTED, "CNY", Decimal("1.25")),
            (Source.REPORTED, "USD", Decimal("0.1")),
        )
    )


def test_stored_and_simulated_amounts_are_in_no_sum(ledger: Ledger) -> None:
    """What came from the store cost nothing, whatever stands beside it."""
    finish(ledger, cost={"cost_amount": Decimal(1), "cost_currency": "USD", "cost_source": "stored"})
    assert ledger.spend().total == Total()


AMOUNTS = st.one_of(
    st.none(),
    st.decimals(min_value=0, max_value=10, places=4),
    st.decimals(min_value=0, max_value=1, places=15),
    st.sampled_from([Decimal("0.03"), Decimal("1E+3"), Decimal("2000000.5"), Decimal("0.1000000000"), Decimal(0)]),
)


@pytest.fixture(scope="module")
def one_ledger(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ledger]:
    """One ledger for all that is tried on it; each try is a notebook of its own."""
    with Ledger.open(tmp_path_factory.mktemp("sums") / "ledger.db") as opened:
        yield opened


KINDS = st.tuples(AMOUNTS, st.sampled_from(["USD", "CNY"]), st.sampled_from(["reported", "estimated"]), st.booleans())


@given(st.lists(KINDS, min_size=1, max_size=8))
def test_sums_are_exact(one_ledger: Ledger, costs: list[tuple[Decimal | None, str, str, bool]]) -> None:
    """Whatever amounts a service reports, the history's total is what decimals add up to, digit by digit."""
    notebook = new_id()
    drafts = [draft(state=JobState.SAVED, simulated=is_simulated, notebook=notebook) for *_, is_simulated in costs]
    for job, (amount, currency, source, _) in zip(one_ledger.create_jobs(drafts), costs, strict=True):
        if amount is not None:
            one_ledger.update(job.id, cost_amount=amount, cost_currency=currency, cost_source=source)
    one_ledger.meta_set("all", "written")
    expected = Total.of(Cost(cost[0], cost[1], Source(cost[2])) for cost in costs if not cost[3])
    page = one_ledger.history(HistoryQuery(notebook=notebook))
    assert page.total.unknown == expected.unknown
    assert [item for item in page.total.amounts if item[2]] == [item for item in expected.amounts if item[2]]
    by_notebook = {row.key: row for row in one_ledger.cost_by("notebook")}
    assert (by_notebook[notebook].total if notebook in by_notebook else Total()).known() == expected.known()


def test_a_million_small_amounts_do_not_drift(ledger: Ledger) -> None:
    """Tenths of a cent, a thousand times, are exactly as many dollars; floating point would not be."""
    ids = [row.id for row in ledger.create_jobs([draft(state=JobState.SAVED)] * 1000)]
    for job_id in ids:
        ledger.update(job_id, **reported("0.001"))
    ledger.meta_set("all", "written")
    assert ledger.history(HistoryQuery(limit=1)).total.known() == Decimal(1)


# ------------------------------------------------------------------ by day, notebook, tag, user


@pytest.fixture
def berlin(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let local time be Berlin's."""
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.usefixtures("berlin")
def test_days_are_the_person_s_own(ledger: Ledger) -> None:
    """A picture of half past midnight belongs to the day on the wall, not to UTC's."""
    late = dt.datetime(2026, 11, 24, 23, 30, tzinfo=dt.UTC).timestamp()
    for at in (late, late - 7200, late + 60):
        finish(ledger, cost=reported("0.01"), created_at=at)
    assert [(row.key, row.jobs, str(row.total)) for row in ledger.cost_by("day")] == [
        ("2026-11-24", 1, "$0.01 reported"),
        ("2026-11-25", 2, "$0.02 reported"),
    ]


def test_costs_by_tag_notebook_and_user(ledger: Ledger) -> None:
    """A job with two tags counts under both; one without a notebook under none; text is as it was given."""
    finish(ledger, cost=reported("0.01"), tags=("a", "b\x00"), notebook="x.ipynb", user="ann")
    finish(ledger, cost=reported("0.02"), tags=("a",), user="bob", pictures=2)
    by_tag = {row.key: (row.jobs, row.pictures, row.total.known()) for row in ledger.cost_by("tag")}
    assert by_tag == {"a": (2, 3, Decimal("0.03")), "b\x00": (1, 1, Decimal("0.01"))}
    assert [row.key for row in ledger.cost_by("notebook")] == ["", "x.ipynb"]
    assert [(row.key, row.total.known()) for row in ledger.cost_by("user", since=NOON)] == [
        ("ann", Decimal("0.01")),
        ("bob", Decimal("0.02")),
    ]
    with pytest.raises(LedgerError, match="colour"):
        ledger.cost_by("colour")  # type: ignore[arg-type]


# ------------------------------------------------------------------ prices and durations


def test_the_newest_reported_price_is_the_estimate(ledger: Ledger) -> None:
    """What one picture cost lately: by provider and model, reported only, divided by what was delivered."""
    assert ledger.last_price("gateway", "wan26_image") is None
    finish(ledger, cost=reported("0.08"), pictures=2, created_at=NOON - 86400)
    finish(ledger, cost=reported("0.10"), pictures=3)
    finish(ledger, cost=reported("9"), provider="dashscope", created_at=NOON + 1)
    finish(ledger, cost=reported("9"), simulated=True, created_at=NOON + 1)
    finish(ledger, pictures=1, created_at=NOON + 2)
    estimated = {"cost_amount": Decimal(9), "cost_currency": "USD", "cost_source": "estimated"}
    finish(ledger, cost=estimated, created_at=NOON + 3)
    move(ledger, create(ledger, created_at=NOON + 4), *WAY, **reported("0.5"))  # no picture: no price of one
    day = dt.datetime.fromtimestamp(NOON, tz=dt.UTC).astimezone().date()
    assert ledger.last_price("gateway", "wan26_image") == Price(Decimal("0.033334"), "USD", day)


def test_durations_are_those_of_alike_jobs(ledger: Ledger) -> None:
    """The scheduler learns from jobs of the same kind, the newest ones, in their order."""

    def timed(at: float, seconds: float | None, **changes: object) -> None:
        job_id = create(ledger, **changes)
        move(ledger, job_id, *WAY[:4], duration_s=seconds, finished_at=at)

    for at, seconds in ((30, 13.0), (10, 11.0), (20, 12.0), (40, None)):
        timed(NOON + at, seconds)
    timed(NOON, 99.0, size_tier="2K")
    timed(NOON, 99.0, n=1)
    usual: JobDraft = draft()
    key = DurationKey(provider=usual.provider, model=usual.model, mode=usual.mode, size_tier="1K", n=2)
    assert ledger.durations(key) == [11.0, 12.0, 13.0]
    assert ledger.durations(key, limit=2) == [12.0, 13.0]
