"""Pictures to choose from, and what is recalled from one."""

import pytest

from tests.fakes.pictures import encoded, gradient
from tests.kit import ask, ended
from tests.unit.panel.conftest import Shell
from wan_notebook.errors import CellError
from wan_notebook.magics import cell_of_job
from wan_notebook.panel import FIELDS


def upload(page, name, data, parts=1):
    """Send a file in pieces, the last one first."""
    size = -(-len(data) // parts)
    for part in reversed(range(parts)):
        piece = data[part * size : (part + 1) * size]
        page.send("picker", "upload", piece, id=name, name=name, part=part, parts=parts, how="dropped")


class Angry:
    """Fails at every look."""

    def _repr_png_(self):
        raise RuntimeError("no")

    def __eq__(self, other):
        raise RuntimeError("no")

    __hash__ = None


def test_variables_are_followed(open_panel, house):
    """What cells define appears, with a key that changes when the picture does; one that misbehaves breaks nothing."""
    page = open_panel(shell=Shell(number=5, text="hello", _hidden=gradient()))
    page.wait(lambda panel: panel.choices == {"variables": []})
    photo, job = gradient(), ended(ask(page.session))
    page.shell.run_cell(photo=photo, several=[gradient(), 5], fox=job, mad=Angry())
    choices = page.wait(lambda panel: len(panel.choices["variables"]) == 4).choices["variables"]
    assert [one["id"] for one in choices] == ["photo", "several[0]", "fox[0]", "mad"]
    keys = [one["key"] for one in choices[:3]]
    wanted = [*keys, "nonsense", "a:nothing"]
    page.send("gallery", "want", size="thumb", keys=wanted)
    copies = [page.answer("thumb") for _ in wanted]
    found = [(message["key"], copy[:4]) for message, (copy,) in copies]
    assert found == list(zip(wanted, [b"RIFF"] * 3 + [b""] * 2, strict=True))
    photo.paste("red", (0, 0, 320, 256))
    page.shell.run_cell()
    page.wait(lambda panel: panel.choices["variables"][0]["key"] != keys[0])
    page.type(prompt="x", images=["mad"])
    page.wait(lambda panel: "images" in panel.check.get("problems", {}))


def test_an_upload_becomes_an_input_that_the_cell_names(open_panel, house):
    """Pieces in any order are one file in the folder, and the cell alone gives the same request."""
    page, data = open_panel(prompt="make it blue"), encoded(gradient(300, 300))
    upload(page, "../my <b>cat.png", data, parts=3)
    (expression,) = page.wait(lambda panel: panel.values["images"]).values["images"]
    (kept,) = (house.folder / "inputs").glob("*.png")
    assert (kept.name, kept.read_bytes()) == ("my-b-cat.png", data)
    assert expression.strip("\"'").endswith("wan-pictures/inputs/my-b-cat.png")
    assert ended(page.panel.generate()).mode == "edit"
    upload(page, "notes.png", b"hello, I am a text")
    page.wait(lambda panel: "notes.png" in "".join(panel.notice))
    assert page.panel.values["images"] == [expression]


def test_a_place_runs_no_code(open_panel):
    """The field takes names, jobs, paths and addresses only."""
    page = open_panel(shell=Shell(photo=gradient()))
    for text in ("open('x')", "__import__('os').system('x')", "a.b()", "photo.resize((1, 1))"):
        page.panel.notice = []
        page.send("picker", "place", text=text)
        page.wait(lambda panel: panel.notice)
    page.send("picker", "place", text="photo")
    assert page.wait(lambda panel: panel.values["images"]).values["images"] == ["photo"]


def test_recall_fills_in_and_sends_nothing(open_panel, house):
    """What made a job stands in the fields; the service stays; a name that is taken does not come back."""
    page = open_panel(shell=Shell(photo=gradient()))
    page.panel.fill(images=[page.shell.user_ns["photo"]], prompt="a {{fox}}", negative_prompt="rain", n=2, seed=5)
    page.panel.fill(size="2K", prompt_extend=False, tags=["red", "two words"], name="fox")
    asked = page.panel.values
    job = ended(page.panel.generate())
    cell = cell_of_job(job, page.session)
    for name in ("", "fox"):
        page.panel.fill(**{**FIELDS, "provider": "gateway"})
        page.panel.recall(cell, ["a note"])
        values = page.panel.values
        assert values == {**asked, "images": values["images"], "provider": "gateway", "name": name}
        page.shell.user_ns.pop("fox", None)
    page.wait(lambda panel: panel.check["notes"] == ["a note"])
    page.panel.fill(prompt="other", provider="", images=[job[0]])
    assert page.panel.values["images"] == [f"{job.id}[0]"]
    assert house.service.tasks_created == 1
    with pytest.raises(CellError, match="by name"):
        page.panel.fill(images=[gradient()])
