"""What is bought, what is shown again, and what is joined."""

import pytest
from PIL import Image

from tests.kit import WAIT_S, CellId, House, ask, at_cell, database_of
from wan_notebook.errors import ReplayError
from wan_notebook.session import Session


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


def test_adding_the_seed_that_a_caption_shows_is_free(house: House) -> None:
    """A picture made without a seed answers the same request with its seed."""
    session = house.kernel()
    first = ask(session).result(WAIT_S)
    assert ask(session, seed=first.seed).id == first.id
    assert house.service.tasks_created == 1


def test_a_seedless_request_is_served_once_a_kernel_then_asked_anew(house: House) -> None:
    """The first occurrence in a kernel shows the stored picture, the next run of the same cell asks for a new one."""
    first = ask(house.kernel()).result(WAIT_S)
    session = house.kernel()
    served = ask(at_cell(session, "a", "1"))
    anew = ask(at_cell(session, "a", "2")).result(WAIT_S)
    assert served.id == first.id
    assert anew.id != first.id
    assert house.service.tasks_created == 2


def ids_of(session: Session, *cells: CellId | None) -> list[str]:
    """Ask for the same seedless picture in each cell (None: in the one before) and return the jobs' ids."""
    found = []
    for cell in cells:
        if cell is not None:
            at_cell(session, cell.cell_id, cell.execution)
        found.append(ask(session).result(WAIT_S).id)
    return found


@pytest.mark.parametrize("cell", ["a", ""])
def test_a_loop_that_was_made_longer_replays_all_of_its_pictures(house: House, cell: str) -> None:
    """Two pictures of one day and one of the next are the three that the finished loop shows, and cost nothing."""
    ids_of(house.kernel(), CellId(cell_id=cell, execution="1"), None)
    longer = ids_of(house.kernel(), CellId(cell_id=cell, execution="2"), None, None)
    again = ids_of(house.kernel(), CellId(cell_id=cell, execution="3"), None, None)
    assert longer == again
    assert len(set(again)) == 3
    assert house.service.tasks_created == 3


def test_a_twin_cell_that_came_later_replays_for_nothing(house: House) -> None:
    """A second cell with the same seedless prompt, added in another run, does not make the next Run All buy."""
    ids_of(house.kernel(), CellId(execution="1"))
    finished = ids_of(house.kernel(), CellId(execution="1"), CellId(execution="2"))
    assert ids_of(house.kernel(), CellId(execution="1"), CellId(execution="2")) == finished
    assert house.service.tasks_created == 2


def test_a_tool_that_names_no_cells_shows_what_the_notebook_showed_last(house: House) -> None:
    """A cell that was run three times in JupyterLab shows its third picture, also when nbconvert runs the notebook."""
    runs = [CellId(cell_id=cell, execution=f"{number}") for number, cell in enumerate("abba")]
    first, joined, b, a = ids_of(house.kernel(), *runs)
    assert ids_of(house.kernel(), CellId(execution="1"), CellId(execution="2")) == [a, b]
    assert first == joined  # first seen in a new cell: shown, and asked anew when that cell is run again
    assert len({first, a, b}) == 3
    assert house.service.tasks_created == 3


def test_an_open_request_is_joined(house: House) -> None:
    """What is still running is waited for, never bought a second time, in another kernel either."""
    house.configure(seconds=0.3)
    one, two = house.kernel(), house.kernel()
    first, joined = ask(one, seed=5), ask(two, seed=5)
    assert joined.id == first.id
    assert joined.result(WAIT_S).files == first.result(WAIT_S).files
    assert house.service.tasks_created == 1


def test_fresh_always_asks(house: House) -> None:
    """--fresh buys, and both results stay."""
    session = house.kernel()
    first = ask(session, seed=5).result(WAIT_S)
    second = ask(session, seed=5, fresh=True).result(WAIT_S)
    assert first.id != second.id
    assert house.service.tasks_created == 2


def test_replay_only_never_buys(house: House) -> None:
    """WAN_REPLAY=only shows what is there, and names what is not."""
    first = ask(house.kernel(), seed=5).result(WAIT_S)
    only = house.kernel(WAN_REPLAY="only")
    assert ask(only, seed=5).id == first.id
    with pytest.raises(ReplayError, match="seed 6"):
        ask(only, seed=6)
    with pytest.raises(ReplayError, match="fresh"):
        ask(only, seed=5, fresh=True)
    assert house.service.tasks_created == 1


def test_a_bundles_folder_says_itself_that_it_never_buys(house: House) -> None:
    """Nobody set WAN_REPLAY: the error names the bundle, and the way to new pictures is another than unsetting it."""
    database_of(house.kernel()).meta_set("replay", "only")
    for asked in ({"fresh": True}, {"seed": 6}):
        with pytest.raises(ReplayError, match="bundle") as caught:
            ask(house.kernel(), **asked)
        assert "unset" not in caught.value.hint.lower()
    assert house.service.tasks_created == 0


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


def test_an_unfinished_job_can_be_an_input(house: House) -> None:
    """An edit of a running job waits for it in the background, and is recorded with its real input."""
    house.configure(seconds=0.3)
    session = house.kernel()
    fox, edit = (fox := ask(session, seed=5)), ask(session, "at night", images=[fox], seed=6)
    assert edit.status == "intent"
    assert edit.result(WAIT_S).rows[0].inputs[0].source_job == fox.id
    assert ask(house.kernel(), "at night", images=[fox], seed=6).id == edit.id
    assert house.service.tasks_created == 2


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
