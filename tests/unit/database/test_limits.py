"""Who may send, and who works on a job: an account's limits and leases, over all kernels of a ledger."""

from tests.unit.database.kit import ACCOUNT, Clock, at_once, create, move, new, owner
from wan_notebook.database import Claim, Conflict, Database, Status

ME = owner("me")
LIMITS = {"account": ACCOUNT, "in_flight": 2, "submits_per_s": 0, "key_fingerprint": "k"}
PACE = {"account": ACCOUNT, "in_flight": 0, "submits_per_s": 5}


def jobs(database: Database, count: int) -> list[str]:
    """Create jobs that this kernel holds."""
    rows = database.create_or_join([new(seed=seed) for seed in range(count)], owner=ME, simulated_ok=False)
    return [row.id for row, _ in rows]


def claim(database: Database, job_id: str, by: str = "me", **limits: object) -> Claim:
    """Ask whether a job may be sent."""
    return database.claim_to_send(job_id, owner(by), **{**LIMITS, **limits})


def test_a_dead_kernels_tasks_count_for_ten_minutes(database: Database, clock: Clock) -> None:
    """They may still run: they take their places for a while, in doubt or not; a living one's, as long as it lives."""
    first, second, third = jobs(database, 3)
    claim(database, first)
    claim(database, second)
    move(database, first, Status.IN_DOUBT)
    move(database, second, Status.ACCEPTED)
    clock.now += 590
    assert claim(database, third, by="new kernel").running == 2
    for _ in range(3):
        clock.now += 3600
        database.lease([second], ME)
    assert claim(database, third, by="new kernel", in_flight=1).running == 1
    clock.now += 620
    assert claim(database, third, by="new kernel", in_flight=1).row is not None


def test_submits_keep_their_distance(database: Database, other: Database, clock: Clock) -> None:
    """No second sees more submits than the limit, whichever kernel sends; who must wait knows how long."""
    sent, waiting = [], jobs(database, 20)
    while waiting:
        answer = claim((database, other)[len(waiting) % 2], waiting[0], **PACE)
        if answer.row is not None:
            sent.append(clock.now)
            waiting.pop(0)
            continue
        assert 0 < answer.wait_s <= 0.22
        clock.now += answer.wait_s
    assert max(sum(at <= other_at < at + 1 for other_at in sent) for at in sent) <= 5
    assert sent[-1] - sent[0] < 19 / 5 * 1.1


def test_a_clock_that_was_set_back_stops_nobody(database: Database, clock: Clock) -> None:
    """After a correction no distance, pause, lease or task of the time ahead holds up an account or a job."""
    first, second, third, fourth = jobs(database, 4)
    claim(database, first, **PACE)
    claim(database, second)
    move(database, second, Status.ACCEPTED)
    claim(database, third, in_flight=0)
    move(database, third, Status.IN_DOUBT)
    database.pause_account(ACCOUNT, 300)
    clock.now -= 86_400
    assert claim(database, fourth, by="new kernel", in_flight=1, submits_per_s=5).row is not None
    assert database.lease([second], owner("new kernel")) == {second}


def test_of_many_that_claim_a_job_one_sends_it(database: Database, other: Database) -> None:
    """Only the transaction that set ``sending`` may send: eight kernels at once make one task."""
    job_id = create(database, by=ME)
    database.release([job_id], ME)
    outcomes = at_once(lambda number: claim((database, other)[number % 2], job_id, by=f"kernel {number}"))
    assert sum(isinstance(outcome, Conflict) for outcome in outcomes) == 7
    assert sum(isinstance(outcome, Claim) and outcome.row is not None for outcome in outcomes) == 1
