"""What is bought, what is shown again, and what is joined."""

from dataclasses import replace

import pytest
from PIL import Image

from tests.kit import WAIT_S, House, ask, at_cell, database_of
from wan_notebook.display import job_bundle
from wan_notebook.errors import ReplayError, RequestError
from wan_notebook.images import former_identity, load_image
from wan_notebook.replay import Submission
from wan_notebook.request import ImageRequest


@pytest.mark.parametrize("colour", ["", "red"])
def test_what_was_answered_is_never_bought_again(house: House, colour: str) -> None:
    """A seeded request that has a result shows it, in any kernel; a picture in memory counts by its pixels."""
    first, again = (
        ask(house.kernel(), images=[Image.new("RGB", (300, 300), colour)] if colour else [], seed=5).result(WAIT_S)
        for _ in range(2)
    )
    assert first.files == again.files
    assert again.replayed == {first.id}
    assert house.service.tasks_created == 1


def test_a_picture_that_is_refused_today_shows_what_was_made_of_it(house: House) -> None:
    """The first edition guessed the value range of some pictures: what it paid for is shown, nothing new is made."""
    session, integers = house.kernel(), Image.new("I", (300, 300), 100)
    sent = replace(load_image(Image.new("RGB", (300, 300)), name="photo"), identity=former_identity(integers))
    request = ImageRequest(prompt="a fox in snow", images=(sent,), seed=5)
    paid = session.submit(Submission((request,))).result(WAIT_S)
    assert ask(session, images=[integers], seed=5).id == paid.id
    with pytest.raises(RequestError, match="mode I"):
        ask(session, images=[integers], seed=6)
    assert house.service.tasks_created == 1


# Each kernel's runs as cell and execution ("-": a tool that names no cell); then the pictures that they show.
SEEDLESS = {
    "a cell that is run again asks anew": [("a1", "A"), ("a1 a2", "AB")],
    "a loop that was made longer replays all of it": [("a1 a1", "AB"), ("a2 a2 a2", "ABC"), ("a3 a3 a3", "ABC")],
    "so does one in a tool that names no cells": [("-1 -1", "AB"), ("-2 -2 -2", "ABC"), ("-3 -3 -3", "ABC")],
    "a twin cell that came later replays for nothing": [("-1", "A"), ("-1 -2", "AB"), ("-1 -2", "AB")],
    # first seen in a new cell: shown, and asked anew when that cell is run again
    "a tool shows what each cell showed last": [("a0 b1 b2 a3", "AABC"), ("-1 -2", "CB")],
}


@pytest.mark.parametrize("kernels", SEEDLESS.values(), ids=SEEDLESS)
def test_seedless_cells_show_what_they_showed(house: House, kernels: list[tuple[str, str]]) -> None:
    """The first occurrence in a kernel is the stored picture, each further one the next, and then a new one."""
    letters: dict[str, str] = {}
    for runs, wanted in kernels:
        session, shown = house.kernel(), ""
        for run in runs.split():
            job = ask(at_cell(session, run[0].strip("-"), run[1])).result(WAIT_S)
            shown += letters.setdefault(job.id, "ABCD"[len(letters)])
        assert shown == wanted
    assert house.service.tasks_created == len(letters)


@pytest.mark.parametrize("cells", ["aa", "--", "a-"])
def test_a_loop_that_shares_a_running_job_says_so(house: House, cells: str) -> None:
    """Whoever wanted several pictures is told how; the note stays when the job is saved. Run again, it is free."""
    house.configure(seconds=0.3)
    session, later = (at_cell(house.kernel(), cell.strip("-"), "1") for cell in cells)
    first = ask(session)
    with pytest.warns(UserWarning, match="the same request in this run"):
        again = ask(session)
    assert again.result(WAIT_S).id == first.id
    assert [ask(later).id for _ in range(2)] == [first.id] * 2
    assert "Note: the same request in this run" in job_bundle(again, session)[0]["text/plain"]
    assert house.service.tasks_created == 1


def test_adding_the_seed_that_a_caption_shows_is_free_unless_fresh(house: House) -> None:
    """A picture made without a seed answers the same request with its seed; --fresh buys, and both results stay."""
    session = house.kernel()
    first = ask(session).result(WAIT_S)
    assert ask(session, seed=first.seed).id == first.id
    second = ask(session, seed=first.seed, fresh=True).result(WAIT_S)
    assert (first.id != second.id, house.service.tasks_created) == (True, 2)


@pytest.mark.parametrize("bundle", [False, True])
def test_where_nothing_may_be_bought_nothing_is(house: House, bundle: bool) -> None:
    """WAN_REPLAY=only, or a bundle's folder, shows what is there and names what is not; each says who forbids it."""
    first = ask(house.kernel(), seed=5).result(WAIT_S)
    if bundle:
        database_of(house.kernel()).meta_set("replay", "only")
    only = house.kernel(**({} if bundle else {"WAN_REPLAY": "only"}))
    assert ask(only, seed=5).id == first.id
    for asked, words in (({"seed": 6}, "seed 6"), ({"seed": 5, "fresh": True}, "fresh")):
        with pytest.raises(ReplayError, match="bundle" if bundle else words) as caught:
            ask(only, **asked)
        assert not bundle or "unset" not in caught.value.hint.lower()
    assert house.service.tasks_created == 1


def test_several_pictures_are_tasks_with_consecutive_seeds(house: House) -> None:
    """-n 3 without images is three tasks of one picture; a re-run replays all three, a longer one buys the rest."""
    first = ask(house.kernel(), n=3).result(WAIT_S)
    again = ask(house.kernel(), n=3).result(WAIT_S)
    longer = ask(house.kernel(), n=4, seed=first.seed).result(WAIT_S)
    assert first.seeds == (first.seed, first.seed + 1, first.seed + 2)
    assert len(first.images) == 3
    assert again.files == first.files
    assert longer.files[:3] == first.files
    assert house.service.tasks_created == 4


def test_an_input_whose_job_failed_sends_nothing(house: House) -> None:
    """An edit of a picture that never came is refused, with the reason, and nothing is paid."""
    house.configure(seconds=0.3)
    session = house.kernel()
    broken = ask(session, "[[fail]] a fox", seed=5)
    edit = ask(session, "at night", images=[broken])
    broken.wait(WAIT_S)
    edit.wait(WAIT_S)
    assert (broken.status, edit.status) == ("failed", "refused")
    assert house.service.tasks_created == 1
