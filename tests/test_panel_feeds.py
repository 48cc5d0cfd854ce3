"""What the panel's gallery and history are fed with, and what their buttons do."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.engine.conftest import House
from tests.panel_kit import Desk, Sent, until
from wan_notebook.panel.history import COLUMNS
from wan_notebook.present import facts
from wan_notebook.recipe import read_recipe

PAYLOAD = '=cmd|" /C calc"!A0 <img src=x onerror=alert(1)> \u202eevil 狐😀'


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[House]:
    """A folder and a service; kernels run in the notebook's folder."""
    made = House(tmp_path)
    made.folder.parent.mkdir(parents=True)
    monkeypatch.chdir(made.folder.parent)
    yield made
    made.close()


@pytest.fixture
def desk(house: House) -> Iterator[Callable[..., Desk]]:
    """Open a panel."""
    made: list[Desk] = []

    def opened(variables: dict[str, Any] | None = None, **env: str) -> Desk:
        made.append(Desk(house, variables, **env))
        return made[-1]

    yield opened
    for one in made:
        one.close()


Opened = Callable[..., Desk]


def items(one: Desk, **filters: Any) -> list[dict[str, Any]]:
    """Return what the gallery shows for a filter."""
    gallery = one.panel._gallery
    if filters:
        gallery.widget._receive(None, {"kind": "filter", **filters}, [])
    gallery._update()
    return list(gallery.widget.items)


# ------------------------------------------------------------------ the gallery


def test_pictures_that_differ_only_in_their_seed_share_a_stack(desk: Opened) -> None:
    """Several seeds of one request lie together, in one batch or job by job; another prompt or size does not."""
    one = desk()
    one.generate(prompt="a fox", n=3)
    one.generate(prompt="a fox", n=1, seed="77")
    one.generate(prompt="a fox", seed="", size="16:9")
    one.generate(prompt="a lynx", size="")
    stacks = [item["stack"] for item in items(one)]
    assert len(stacks) == 6
    assert [stacks.count(stack) for stack in dict.fromkeys(stacks)] == [1, 1, 4]


def test_the_gallery_is_filtered_by_words_seed_tag_and_star(desk: Opened) -> None:
    """Each filter finds its pictures; what matches nothing says so."""
    one = desk()
    one.generate(prompt="a fox", seed="5", tags="study")
    fox = items(one)[0]["id"]
    one.generate(prompt="a lynx", seed="6", tags="")
    one.panel._gallery._mark("star", fox, True)
    assert len(items(one)) == 2
    for filters in ({"words": "fox"}, {"seed": "5"}, {"tag": "study"}, {"starred": True}):
        assert [item["id"] for item in items(one, **filters)] == [fox], filters
    assert items(one, words="zebra") == []
    assert one.panel._gallery.widget.empty == "No picture matches."
    assert one.panel._gallery.widget.tags == ["study"]


def test_a_rejected_picture_is_hidden_not_deleted(desk: Opened) -> None:
    """It goes from the gallery, stays in the ledger and on disk, and comes back."""
    one = desk()
    job = one.generate(prompt="a fox")
    (item,) = items(one)
    widget = one.panel._gallery.widget
    widget._receive(None, {"kind": "reject", "id": item["id"], "on": True}, [])
    until(lambda: widget.items == [])
    assert job.files[0].exists()
    assert [i["rej"] for i in items(one, rejected=True)] == [True]
    widget._receive(None, {"kind": "reject", "id": item["id"], "on": False}, [])
    until(lambda: [i["rej"] for i in widget.items] == [False])


def test_thumbnails_come_small_and_files_whole(desk: Opened) -> None:
    """A thumbnail fits its bytes, a full picture is the file, a clean copy is what the service sent."""
    one = desk()
    job = one.generate(prompt="a fox")
    (item,) = items(one)
    sent = Sent(one.panel._gallery.widget)
    receive = one.panel._gallery.widget._receive
    receive(None, {"kind": "thumbs", "keys": [item["id"], "gone/0"]}, [])
    _, thumbs = sent.wait("thumbs")
    assert thumbs[0].startswith(b"RIFF")
    assert len(thumbs[0]) <= 9000
    assert thumbs[1] == b""
    receive(None, {"kind": "full", "key": f"full:{item['id']}"}, [])
    assert sent.wait("full")[1] == [job.files[0].read_bytes()]
    receive(None, {"kind": "save", "id": item["id"], "clean": True, "key": "k"}, [])
    message, (clean,) = sent.wait("save")
    assert read_recipe(job.files[0].read_bytes()) is not None
    assert read_recipe(clean) is None
    assert message["name"].endswith("-clean.png")


def test_thumbnails_appear_as_they_are_made(desk: Opened, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first picture is not held back until a whole screen of them is made."""
    from wan_notebook.panel import gallery

    one = desk()
    one.generate(prompt="a fox", seed="5..7")
    keys = [item["id"] for item in items(one)]
    monkeypatch.setattr(gallery, "THUMBS_EVERY_S", 0.0)
    sent = Sent(one.panel._gallery.widget)
    one.panel._gallery._send_thumbs(keys)
    assert [message["keys"] for message, _ in sent.of("thumbs")] == [[key] for key in keys]


def test_a_result_in_a_variable_has_its_thumbnail(desk: Opened) -> None:
    """The picker shows what `fox` made, not an empty frame with its name."""
    one = desk()
    one.variables["fox"] = one.generate(prompt="a fox", seed="5")
    one.panel._sources.refresh()
    (choice,) = one.panel._sources.widget.variables
    assert choice["expression"] == "fox"
    assert one.panel._sources._thumb(choice["key"]).data


def test_the_input_is_there_to_compare_with(desk: Opened) -> None:
    """The slider's other side is the kept input, as it was sent."""
    one = desk({"photo": Image.new("RGB", (400, 300), "teal")})
    job = one.generate(images=["photo"], prompt="make it red")
    (item,) = items(one)
    sent = Sent(one.panel._gallery.widget)
    one.panel._gallery.widget._receive(None, {"kind": "details", "id": item["id"]}, [])
    details, _ = sent.wait("details")
    assert details["inputs"] == [{"position": 0, "name": "photo"}]
    assert details["cell"].startswith("%%wan -i wan-pictures/inputs/")
    one.panel._gallery.widget._receive(None, {"kind": "full", "key": f"input:{item['id']}:0"}, [])
    record = job.rows[0].inputs[0]
    assert sent.wait("full")[1] == [(one.house.folder / record.file).read_bytes()]


@pytest.mark.parametrize(
    ("what", "expected"),
    [
        ("use", {"prompt": "now", "images": ("photo", "ID"), "seed": ""}),
        ("edit", {"prompt": "", "images": ("ID",), "seed": ""}),
        ("seed", {"prompt": "now", "images": ("photo",), "seed": "5"}),
        ("recall", {"prompt": "a fox", "images": (), "seed": "5"}),
        ("newseed", {"prompt": "a fox", "images": (), "seed": ""}),
    ],
)
def test_a_pictures_buttons_fill_the_form_and_send_nothing(desk: Opened, what: str, expected: dict[str, Any]) -> None:
    """Each button changes what its name says and leaves the rest; a recalled request brings its own tags, here none."""
    one = desk({"photo": Image.new("RGB", (400, 300), "teal")})
    job = one.generate(prompt="a fox", seed="5")
    one.fill(images=["photo"], prompt="now", seed="", tags="mine")
    one.panel._gallery._do(what, f"{job.id}/0")
    form = one.panel.form
    wanted = {**expected, "images": tuple(i.replace("ID", f"{job.id}[0]") for i in expected["images"])}
    assert {"prompt": form.prompt, "images": form.images, "seed": form.seed} == wanted
    assert form.tags == ("" if what in ("recall", "newseed") else "mine")
    assert one.tasks == 1


def test_the_seed_buttons(desk: Opened) -> None:
    """New empties the field, Keep takes the newest picture's seed, From picture the selected one's."""
    one = desk()
    first = one.generate(prompt="a fox", seed="5")
    one.generate(prompt="a fox", seed="6")
    for name, expected in (("Keep", "6"), ("New", ""), ("From picture", "5")):
        one.panel._gallery.widget.selected = f"{first.id}/0"
        one.panel._on_seed(name)
        assert one.panel.form.seed == expected


def test_a_word_about_the_seed_goes_with_the_next_change(desk: Opened) -> None:
    """What one press said does not stay below the field for ever."""
    one = desk()
    one.panel._on_seed("From picture")
    assert "Choose a picture" in one.panel._fields.notes["seed"].hint
    one.check()
    assert "5..8" in one.panel._fields.notes["seed"].hint


def test_a_picture_keeps_the_name_that_a_person_knows(desk: Opened) -> None:
    """A recalled input is called what it was called, a result by its prompt; the cell has path and id."""
    one = desk({"photo": Image.new("RGB", (400, 300), "teal")})
    job = one.generate(images=["photo"], prompt="a fox", seed="5")
    one.panel._gallery._do("recall", f"{job.id}/0")
    one.panel._sources.refresh()
    one.panel._gallery._do("use", f"{job.id}/0")
    one.check()
    facts = one.panel._sources.widget.facts
    assert [facts[expression]["label"] for expression in one.panel.form.images] == ["photo", "a fox"]
    assert f"-i {job.id}[0]" in one.panel.cell


def test_a_file_that_is_gone_is_no_error(desk: Opened) -> None:
    """A picture whose file was deleted by hand is shown as missing."""
    one = desk()
    job = one.generate(prompt="a fox")
    (item,) = items(one)
    job.files[0].unlink()
    sent = Sent(one.panel._gallery.widget)
    one.panel._gallery.widget._receive(None, {"kind": "full", "key": f"full:{item['id']}"}, [])
    assert sent.wait("full")[1] == [b""]


# ------------------------------------------------------------------ the history


def page(one: Desk, **query: Any) -> dict[str, Any]:
    """Return the page for a query."""
    one.panel._history.widget._receive(None, {"kind": "query", **query}, [])
    one.panel._history._update()
    return dict(one.panel._history.widget.page)


def test_the_history_is_sorted_searched_and_totalled(desk: Opened) -> None:
    """Words, seed and tag filter, columns sort, and the totals are those of everything that matches."""
    one = desk()
    one.generate(prompt="a fox", seed="5", tags="study")
    one.generate(prompt="b lynx", seed="3", tags="")
    assert [row["seed"] for row in page(one)["rows"]] == [3, 5]
    assert [row["seed"] for row in page(one, sort="seed", descending=True)["rows"]] == [5, 3]
    assert [row["seed"] for row in page(one, sort="nonsense", offset=-3)["rows"]] == [3, 5]
    assert page(one)["totals"] == "2 jobs · 2 pictures · $0.00"
    for query in ({"words": "fox"}, {"seed": "5"}, {"tag": "study"}):
        found = page(one, **query)
        assert [row["seed"] for row in found["rows"]] == [5]
        assert found["totals"].startswith("1 job · 1 picture")
    assert page(one, state="failed")["rows"] == []
    assert page(one, state="not finished")["rows"] == []


def test_the_history_and_the_button_tell_of_a_job_that_still_runs(desk: Opened) -> None:
    """What was sent from the panel stands in its history at once, and below the button as long as it runs."""
    one = desk()
    one.fill(prompt="[[seconds:600]] a fox")
    one.check()
    one.click()
    widget = one.panel._history.widget
    until(lambda: [row["state"] for row in widget.page.get("rows", ())] == ["running"])
    assert one.panel._run.running == "1 job running"
    one.generate(prompt="an owl")
    until(lambda: one.panel._run.running == "1 job running")


def test_a_saved_job_took_the_same_time_everywhere(desk: Opened) -> None:
    """Row and card of what is saved show the duration that history and captions show, not when the last byte came."""
    one = desk()
    row = one.panel._home.ledger.get(one.generate(prompt="a fox").id)
    late = replace(row, duration_s=3.2, created_at=row.created_at - 9)
    assert facts.elapsed_s(late, late.created_at + 60) == facts.took_s(late) == 3.2
    assert facts.elapsed_s(replace(late, saved_at=None, finished_at=None), late.created_at + 5) == 5


def test_cost_is_shown_with_its_source(desk: Opened) -> None:
    """Practice is marked as such, never as money."""
    one = desk()
    one.generate(prompt="a fox")
    (row,) = page(one)["rows"]
    assert (row["cost"], row["source"]) == ("$0.00", "simulated")
    assert row["settled"]


def test_the_trash_hides_and_gives_back(desk: Opened) -> None:
    """A job in the trash leaves history and gallery, is listed on demand, and can be restored."""
    one = desk()
    job = one.generate(prompt="a fox")
    one.panel._history._act("trash", job.id)
    assert page(one)["rows"] == []
    assert items(one) == []
    assert [row["trashed"] for row in page(one, trash=True)["rows"]] == [True]
    one.panel._history._act("restore", job.id)
    assert len(page(one)["rows"]) == 1
    assert job.files[0].exists()


def test_everything_that_matches_is_exported(desk: Opened) -> None:
    """CSV has a line a job with all columns; a text that a spreadsheet would run is defused."""
    one = desk()
    one.generate(prompt=PAYLOAD.replace("{", "{{"), seed="5")
    one.generate(prompt="a fox", seed="6")
    sent = Sent(one.panel._history.widget)
    one.panel._history.widget._receive(None, {"kind": "csv"}, [])
    message, (data,) = sent.wait("csv")
    assert message["name"].endswith(".csv")
    head, *rows = csv.reader(io.StringIO(data.decode("utf-8-sig")))
    assert tuple(head) == COLUMNS
    by_seed = {row[head.index("seed")]: row for row in rows}
    assert set(by_seed) == {"5", "6"}
    assert by_seed["5"][head.index("prompt")] == f"'{PAYLOAD}'"[:-1]
    assert by_seed["6"][head.index("cost_source")] == "simulated"


def test_recall_from_the_history_shows_the_form(desk: Opened) -> None:
    """A row's Recall fills the form and shows it; nothing is sent."""
    one = desk()
    job = one.generate(prompt="a fox", seed="5")
    one.fill(prompt="other", seed="")
    one.panel._tabs.selected_index = 1
    one.panel._history._act("recall", job.id)
    assert (one.panel.form.prompt, one.panel.form.seed, one.panel._tabs.selected_index) == ("a fox", "5", 0)
    assert one.tasks == 1
