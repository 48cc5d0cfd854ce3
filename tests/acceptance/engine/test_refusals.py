"""A call that cannot be made says what to do, before a job is written down where that is possible."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.engine.kit import ask, ended, rig
from wan_notebook.errors import SettingsError
from wan_notebook.jobs.outcome import error_of


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("WAN_BASE_URL", "banana", "no http"),
        ("WAN_BASE_URL", "ftp://host", "no http"),
        ("WAN_BASE_URL", "https://me:secret@host", "user name"),
        ("WAN_API_KEY", "sk x", "no key has"),
    ],
)
def test_what_cannot_be_used_leaves_no_job_behind(tmp_path: Path, name: str, value: str, words: str) -> None:
    """A job that cannot be sent would wait in the ledger, and be bought later without anybody asking again."""
    with rig(tmp_path) as made:
        session = made.kernel(**{name: value})
        with pytest.raises(SettingsError, match=words) as caught:
            ask(session, seed=5)

        assert caught.value.hint
        assert not made.service.tasks_created
        ledger = session.ledger()
        assert ledger is None or not ledger.open_jobs()


@pytest.mark.parametrize(
    ("fault", "hint"), [("submit.401", "%wan login"), ("submit.403", "balance"), ("submit.400:2", "Mend what")]
)
def test_a_refusal_says_what_helps(tmp_path: Path, fault: str, hint: str) -> None:
    """A wrong key is answered with where to set one, not with a riddle."""
    with rig(tmp_path) as made:
        made.arm(fault)
        job = ended(ask(made.kernel(), seed=5))

        assert job.status == "refused"
        assert hint in error_of(job.rows[0]).hint
