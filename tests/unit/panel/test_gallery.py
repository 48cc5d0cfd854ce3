"""What gallery and history show, and what their buttons do."""

import io
import zipfile

import pytest

import wan_notebook as wan
from tests.fakes.pictures import gradient
from tests.kit import ask, ended
from tests.unit.database.kit import sql
from tests.unit.panel.conftest import Shell
from wan_notebook import api

NO_FILTER = {"words": "", "tag": "", "starred": False, "rejected": False}
NEWEST = {"words": "", "status": None, "include_trashed": False, "offset": 0, "sort": "created", "descending": True}
NEWEST["batch"] = ""


@pytest.fixture
def page(open_panel):
    """Give a panel that waits for pictures of its session."""
    return open_panel(shell=Shell(photo=gradient()))


def made(page, prompt="a fox", **options):
    """Generate from a cell, wait, and return the job."""
    job = ended(ask(page.session, prompt, **options))
    page.shell.run_cell()
    page.wait(lambda _: {key.partition("/")[0] for key in page.images} >= {tracked.id for tracked in job.tracked})
    return job


def test_pictures_that_differ_only_in_their_seed_share_a_stack(page):
    """In one batch or job by job; another prompt or size does not."""
    asked = ({"n": 2}, {"seed": 77}, {"size": "16:9"}, {"prompt": "a lynx"})
    for job in [ask(page.session, **{"prompt": "a fox", **options}) for options in asked]:
        ended(job)
    page.shell.run_cell()
    items = page.wait(lambda panel: len(page.images) == 5).gallery["items"]
    stacks = [item["stack"] for item in items]
    assert sorted(stacks.count(stack) for stack in {*stacks}) == [1, 1, 3]
    assert "seed 77" in [item["caption"] for item in items]


def test_filters(page):
    """Each finds its pictures; one that was imported says so, and a request that cannot be read hides nothing."""
    job, other = made(page, seed=5, tags=["study"]), made(page, "a lynx", seed=6)
    fox = f"{job.id}/0"
    page.send("gallery", "mark", what="star", ids=[fox], on=True)
    page.wait(lambda panel: [item["is_starred"] for item in panel.gallery["items"]] == [False, True])
    for change in ({"words": "fox"}, {"tag": "study"}, {"starred": True}):
        page.send("gallery", "filter", **{**NO_FILTER, **change})
        page.wait(lambda _: page.images == [fox])
    page.send("gallery", "filter", **{**NO_FILTER, "words": "zebra"})
    page.wait(lambda panel: (page.images, panel.gallery["tags"]) == ([], ["study"]))
    sql(page.session.loader.folder, f"UPDATE jobs SET imported_at = created_at WHERE id = '{job.id}'")  # noqa: S608
    sql(page.session.loader.folder, """UPDATE job_texts SET request = '{"parameters": [1]}'""")
    page.send("gallery", "filter", **NO_FILTER)
    page.wait(lambda panel: [("imported" in item["facts"]) for item in panel.gallery["items"]] == [False, True])
    assert page.images == [f"{other.id}/0", fox]


def test_marks_of_several_pictures(page):
    """Star, reject, tags and trash take many at once; nothing is deleted, and all of it can be taken back."""
    jobs = [made(page, n=2), made(page, "a lynx")]
    keys = page.images

    def mark(what, on=True, ids=keys, **data):
        page.send("gallery", "mark", what=what, ids=ids, on=on, **data)

    page.send("gallery", "filter", **{**NO_FILTER, "rejected": True})
    for what, field in (("star", "is_starred"), ("reject", "is_rejected")):
        for on in (True, False):
            mark(what, on)
            page.wait(lambda panel, f=field, on=on: {item[f] for item in panel.gallery["items"]} == {on})
    mark("reject")
    page.send("gallery", "filter", **NO_FILTER)
    page.wait(lambda _: page.images == [])
    mark("reject", False)
    mark("tag", tag="two words")
    page.wait(lambda panel: [item["tags"] for item in panel.gallery["items"]] == [["two words"]] * 3)
    mark("tag", False, keys[:1], tag="two words")
    page.wait(lambda panel: panel.gallery["items"][0]["tags"] == [])
    mark("trash")
    panel = page.wait(lambda panel: page.images == [] and panel.history["rows"] == [])
    assert "30 days" in panel.notice[0]
    page.send("history", "query", **{**NEWEST, "include_trashed": True})
    page.wait(lambda panel: [row["is_trashed"] for row in panel.history["rows"]] == [True] * 3)
    page.send("history", "trash", job=jobs[1].id, on=False)
    page.wait(lambda _: page.images == keys[:1])
    assert jobs[0].files[0].exists()
    page.send("gallery", "mark", what="star")  # what no page sends: one line, as from a cell
    page.wait(lambda panel: "something unexpected" in "".join(panel.notice))


def test_copies_whole_files_and_downloads(page):
    """One picture is its file, several are a zip, and a lost file is no error."""
    job = made(page, n=2)
    keys, (second, first) = page.images, [path.read_bytes() for path in job.files]
    _, (copy,) = page.ask("gallery", "want", "thumb", size="thumb", keys=[keys[0], "gone/0"])
    assert (copy[:4], len(copy) <= 9000, page.answer("thumb")[1]) == (b"RIFF", True, [b""])
    assert page.ask("gallery", "want", "full", size="full", keys=[keys[0]])[1] == [first]
    message, data = page.ask("gallery", "download", "save", ids=keys[:1])
    assert (message["name"], data) == (job.files[1].name, [first])
    message, (data,) = page.ask("gallery", "download", "save", ids=keys)
    assert message["name"] == "wan-pictures-2.zip"
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert [archive.read(name) for name in archive.namelist()] == [first, second]
    job.files[1].unlink()
    assert page.ask("gallery", "want", "full", size="full", keys=[keys[0]])[1] == [b""]
    assert page.ask("gallery", "download", "save", ids=keys)[1] == [second]


def test_a_batch_is_one_line_that_opens(page):
    """It stands in the place of its newest job; opened, each of its jobs has a line; filters hold in both."""
    made(page, "before")
    batch = api.map(
        wan.grid(animal=["fox", "owl [[fail]]"], seed=[1, 2]), "a {animal}", name="zoo", session=page.session
    )
    page.panel.refresh()
    batch.wait(20)
    made(page, "after")
    line = "zoo: 4 rows, 2 saved, 2 failed"
    page.wait(lambda panel: [row["prompt"] for row in panel.history["rows"]] == ["after", line, "before"])
    row, shown = page.panel.history["rows"][1], page.panel.history
    assert (row["batch"], row["status"], row["pictures"], row["cost"], row["seed"]) == (
        "zoo",
        "batch",
        "2",
        "$0.00",
        "",
    )
    assert (shown["total_rows"], shown["totals"]) == (3, "6 jobs · 4 pictures · $0.00")
    page.send("history", "query", **{**NEWEST, "words": "fox"})
    page.wait(lambda panel: [row["prompt"] for row in panel.history["rows"]] == [line])
    page.send("history", "query", **{**NEWEST, "batch": "zoo", "status": "saved"})
    page.wait(lambda panel: [row["prompt"] for row in panel.history["rows"]] == ["a fox"] * 2)
    assert page.panel.history["batch"] == "zoo"


def test_history(page):
    """It is sorted and filtered on the kernel's side; totals are those of everything that matches."""
    made(page, seed=5, tags=["study"])
    lynx = made(page, "b lynx", seed=3)
    page.wait(lambda panel: panel.history["totals"] == "2 jobs · 2 pictures · $0.00")
    orders = [({}, "35"), ({"sort": "seed"}, "53"), ({"sort": "prompt", "descending": False}, "53")]
    for change, seeds in (*orders, ({"status": "failed"}, ""), ({"words": "study"}, "5"), ({"offset": 1}, "5")):
        page.send("history", "query", **{**NEWEST, **change})
        page.wait(lambda panel, seeds=seeds: [row["seed"] for row in panel.history["rows"]] == [*seeds])
    (row,) = page.panel.history["rows"]
    assert (row["cost"], row["is_settled"], row["pictures"]) == ("$0.00 simulated", True, "1")
    page.send("history", "recall", job=lynx.id)
    page.wait(lambda panel: (panel.values["prompt"], panel.values["seed"]) == ("b lynx", "3"))
    page.send("gallery", "recall", id=f"{lynx.id}/0", new_seed=True)
    page.wait(lambda panel: panel.values["seed"] == "")
