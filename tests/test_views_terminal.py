"""Plain text: one line for print, aligned lines for the rest, the same words as everywhere."""

from __future__ import annotations

import pytest

from tests.views_samples import HOSTILE, article, batch, card, job, picture, poisoned, sweep
from wan_notebook.states import JobState
from wan_notebook.views import html as h
from wan_notebook.views.looks import LOOKS
from wan_notebook.views.model import JobView
from wan_notebook.views.terminal import card_line, card_text, columns, job_line


@pytest.mark.parametrize("state", list(JobState))
def test_print_is_one_line(state: JobState) -> None:
    """Whatever a job holds, it prints as one line with its id and state."""
    for view in (job(state), poisoned(job(state)), JobView(job_id="a3f9c2", state=state)):
        line = job_line(view)
        assert "\n" not in line
        assert len(line) <= 240
        assert LOOKS[state].word in line
    assert "\n" not in card_line(sweep(5))


def test_a_job_line_says_what_matters() -> None:
    """State, mode, number of pictures, seed, price and the prompt's beginning."""
    view = job(items=(picture(0), picture(1)), cost_text="$0.06")
    want = "✓ a3f9c2 saved · text to image · 2 pictures · seed 5 · $0.06 · “A fox asleep in fresh snow”"
    assert job_line(view) == want


def test_one_line_a_picture_with_its_path() -> None:
    """Paths come from the notebook's folder in what is saved, and absolute where a terminal asks for them."""
    lines = card_text(batch(2)).splitlines()
    assert lines[1].split() == [
        "fox[0]", "seed", "5", "(1", "of", "2,", "one", "batch)", "320×240", "$0.03", "3.2", "s",
        "wan-pictures/2026-11-24/1432-a-fox-s5-1.png",
    ]  # fmt: skip
    assert "  rewrite on" in lines
    assert card_text(batch(2), full_paths=True).count("/home/ann/wan-pictures/") == 2


def test_what_failed_has_no_price() -> None:
    """The line of a job that is never billed says so, instead of what it might have cost."""
    line = card_text(card(job("failed", most_text="up to $0.03"))).splitlines()[0]
    assert "not billed" in line
    assert "$0.03" not in line


def test_a_sweep_is_a_table_and_does_not_run_on() -> None:
    """Several jobs are aligned by state and seed; beyond a hundred they are counted."""
    jobs = (*sweep(2).jobs, job("failed", seed=9, error_lines=("Inappropriate.",)))
    lines = card_text(card(*jobs, title="seeds", total_text="$0.06")).splitlines()
    assert lines[0] == "✕ 2 saved, 1 failed · seeds · 2 pictures · total $0.06"
    assert lines[3].startswith("  ✕ failed  a3f9c2  seed 9")
    assert lines[3].endswith("Inappropriate.")
    assert lines[1].index("seed 0") == lines[3].index("seed 9")
    assert "and 20 more: %wan show a00000 --all" in card_text(sweep(120))
    assert "rewrite on" not in card_text(sweep(2))
    assert card_text(card(batch(1).jobs[0], *sweep(1).jobs)).splitlines()[-1] == "  rewrite on"


def test_several_jobs_from_the_store_say_that_they_cost_nothing() -> None:
    """What is shown again is not summed up as if it were paid again."""
    told = "from store · $0.00 · 24 Nov"
    again = [job(items=(picture(),), cost_text="$0.03", replay_text=told) for _ in range(2)]

    assert told in card_line(card(*again))
    assert "total" not in card_line(card(*again))


def test_an_article_keeps_its_order() -> None:
    """Texts and pictures stand in the service's order."""
    text = card_text(article())
    order = [text.index(piece) for piece in ("Before", "▣ fox[0]", "Then noon.", "▣ fox[1]")]
    assert order == sorted(order)


def test_ends_say_cost_and_next_step() -> None:
    """A failure costs nothing and says what to do; doubt names its three commands."""
    text = card_text(card(job("failed", error_lines=("Inappropriate.",))))
    assert text.splitlines()[1:3] == ["  Inappropriate.", "  Cost: Nothing: a failed job is not billed."]
    assert "Next: Run the cell again" in text
    doubt = card_text(card(job("in_doubt")))
    assert all(f"%wan resolve a3f9c2 {way}" in doubt for way in ("adopt TASK", "again", "abandon"))
    running = card_text(card(job("running", most_text="up to $0.12", eta_text="about 8–14 s more")))
    assert "up to $0.12 · about 8–14 s more" in running


def test_columns_line_up_in_a_terminal() -> None:
    """Wide characters take two columns, numbers stand to the right, an empty column takes no room."""
    assert columns([["狐", "", "1", "x"], ["fox", "", "22", "y"]], indent="", right=(2,)) == [
        "狐    1  x",
        "fox  22  y",
    ]


def test_hostile_text_cannot_write_to_the_terminal() -> None:
    """Escape sequences and carriage returns from a prompt or a message never reach a terminal."""
    for view in (card(), batch(2), article(), sweep(2), card(job("failed")), card(job("in_doubt"))):
        text = card_text(poisoned(view, HOSTILE + "\r\x9b2J"))
        assert not any(c in text for c in "\x1b\x00\r\x9b\u202e\u2066")
        assert h.safe_text(text) == text
        text.encode("utf-8")
