"""Tables of pictures: what their rows and columns say, what is missing and why, and their files."""

import re
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from itertools import product
from pathlib import Path

import pytest
from PIL import Image

import wan_notebook as wan
from tests.kit import WAIT_S, House, ask, rig, small_png
from tests.unit.batch.kit import RowsOfJobs, batch_of, noise_png
from wan_notebook.errors import CellError, StoreError
from wan_notebook.figure import Comparison, comparison_of
from wan_notebook.session import Session

ANIMALS, STYLES = ("fox", "owl"), ("ink", "oil")
REFUSED = "<i>owl</i> $x$ [[fail]]"


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """One folder and service for all tests."""
    made = House(tmp_path_factory.mktemp("house"))
    made.configure(fixed_picture=noise_png())
    yield made
    made.close()


@pytest.fixture(scope="module")
def session(house: House) -> Session:
    """A kernel, which is the one that shows what it made."""
    return house.kernel()


@pytest.fixture(scope="module")
def zoo(session: Session) -> RowsOfJobs:
    """Two animals in two styles with two seeds; oil with seed 2 fails, and one cell is not there at all."""
    rows = [{"animal": a, "style": s, "seed": n} for a, s, n in product(ANIMALS, STYLES, (1, 2))]
    rows = [row for row in rows if (row["animal"], row["style"]) != ("owl", "ink")]
    rows[3] |= {"prompt": "a fox in oil [[fail]]"}
    return batch_of(session, rows)


def html_of(figure: Comparison) -> str:
    """Return what a cell shows."""
    return str(figure._repr_mimebundle_()[0]["text/html"])


def cells_of(figure: Comparison) -> list[list[list[str]]]:
    """Return what stands in each cell: the label, or why there is none."""
    items = figure.items
    return [[[items[at].missing or items[at].label for at in cell] for cell in line] for line in figure.cells]


def test_cells_hold_what_their_heads_say_or_why_it_is_missing(zoo: RowsOfJobs) -> None:
    """Values stand in the order they came, what else differs is a label, and a reason stands for what is not there."""
    figure = comparison_of(zoo.jobs, rows="style", columns="animal")
    assert figure.axes is not None
    assert [(axis.name, axis.values) for axis in figure.axes] == [("style", STYLES), ("animal", ANIMALS)]
    failed = "failed: Input data may contain inappropriate content."
    assert cells_of(figure) == [
        [["seed 1", "seed 2"], ["not in this batch"]],
        [["seed 1", failed], ["seed 1", "seed 2"]],
    ]
    assert [item.picture.seed for item in figure.items if item.picture] == [1, 2, 1, 1, 2]
    assert dict(figure.common).keys() == {"cost", "mode", "size"}


def test_a_grid_of_two_axes_needs_no_words(zoo: RowsOfJobs) -> None:
    """The first two axes that have several values become rows and columns, one becomes columns, none is no table."""
    figure = comparison_of(zoo.jobs, axes=("once", "animal", "style", "seed"))
    assert figure.title == "animal × style"
    assert comparison_of(zoo.jobs[:3:2], axes=("animal", "style")).title == "style"
    plain = comparison_of(zoo.jobs)
    assert (plain.axes, plain.title) == (None, "Compare")
    assert plain.items[0].label == "animal fox · style ink · seed 1"


def test_facts_of_jobs_are_axes_too(session: Session) -> None:
    """Jobs without a batch have seeds, sizes, prompts and more; a sweep of seeds falls apart into its tasks."""
    sweep = ask(session, "a hare", seed=[1, 2], size="1:1", name="hare", tags=["b", "a"])
    wide = ask(session, "a hare", seed=1, size="16:9")
    figure = wan.compare([sweep, wide], rows="size", columns="seed", session=session)
    assert figure.axes is not None
    assert [axis.values for axis in figure.axes] == [("1280×1280", "1280×720"), ("1", "2")]
    assert cells_of(figure) == [[[""], [""]], [[""], ["not asked for"]]]
    for axis, values in {"name": ("hare", "(none)"), "tag": ("b, a", "(none)"), "provider": ("simulator",)}.items():
        found = wan.compare(sweep, wide, rows=axis, session=session).axes
        assert found is not None
        assert found[0].values == values
    two = ask(session, "a hare", images=[small_png()], n=2, seed=1).result(WAIT_S)
    assert cells_of(wan.compare(two, columns="image", session=session)) == [[["1 of 2", "2 of 2"]]]
    assert len(wan.compare(two[1], columns="n", session=session).items) == 1, "one picture of a job is one"


def test_an_axis_that_is_not_there_is_one_clear_error(zoo: RowsOfJobs, session: Session) -> None:
    """It names the nearest and all that exist; nothing else than jobs has any."""
    with pytest.raises(CellError, match="rows = 'stile': there is no such axis") as caught:
        comparison_of(zoo.jobs, rows="stile")
    assert re.match(
        r"Did you mean style\? There are: animal, style, seed, prompt, model, negative_prompt", caught.value.hint
    )
    with pytest.raises(CellError, match="columns = 2: there is no such axis"):
        wan.compare(zoo, rows="seed", columns=2, session=session)
    with pytest.raises(CellError, match="Only jobs"):
        wan.compare(zoo, small_png(), rows="seed", session=session)
    with pytest.raises(CellError, match="no jobs"):
        wan.compare([], rows="seed", session=session)


def test_a_waiting_or_cancelled_job_says_so(tmp_path: Path) -> None:
    """A figure waits for nothing: it can be looked at while the batch runs."""
    with rig(tmp_path, seconds=1e6, in_flight=1) as slow:
        kernel = slow.kernel(WAN_IN_FLIGHT="1")
        jobs = [ask(kernel, seed=seed) for seed in (1, 2, 3)]
        jobs[2].cancel()
        jobs[2].wait(WAIT_S)
        reasons = [cell[0] for cell in cells_of(comparison_of(jobs, columns="seed"))[0]]
        assert reasons[1:] == ["waiting", "cancelled"]
        assert reasons[0] in ("waiting", "sending", "accepted", "running")


def test_heads_of_models_have_prices(tmp_path: Path) -> None:
    """What the jobs cost stands under the model, a picture; what nobody said is left out."""
    with rig(tmp_path, price=Decimal("0.05")) as shop:
        jobs = [ask(shop.kernel(), images=[small_png()], n=2, seed=seed).result(WAIT_S) for seed in (1, 2)]
        figure = comparison_of(jobs, rows="model", columns="seed")
        assert figure.axes is not None
        assert figure.axes[0].notes == ("$0.05 a picture",)
        assert "$</span>0.05 a picture" in html_of(figure)
        assert figure.axes[1].notes == ("", "")


def test_a_table_reads_without_styles(zoo: RowsOfJobs) -> None:
    """Heads are heads of their rows and columns, for screen readers too, and every picture says its place."""
    html = html_of(comparison_of(zoo.jobs, rows="style", columns="animal"))
    heads = re.findall(r'<th scope="(\w+)"(?: colspan="(\d)")?[^>]*>(?:<bdi>)?(\w+)', html)
    assert heads == [("colgroup", "2", "animal"), ("col", "", "style"), ("col", "", "fox"), ("col", "", "owl")] + [
        ("row", "", style) for style in STYLES
    ]
    assert 'alt="style oil, animal owl, seed 2"' in html
    text = comparison_of(zoo.jobs, rows="style", columns="animal")._repr_mimebundle_()[0]["text/plain"]
    assert "\n  style ink · animal owl · not in this batch\n" in text


def test_a_large_table_stays_within_its_bytes(zoo: RowsOfJobs, tmp_path: Path) -> None:
    """Text is cut, pictures become small, and what is left off is counted; files have all of it."""
    words = "<&$ " * 500
    many = [
        replace(zoo.jobs[0], columns={"a": f"{a} {words}", "b": f"{b} {words}"}) for a in range(16) for b in range(20)
    ]
    figure = comparison_of(many, rows="a", columns="b")
    data, metadata = figure._repr_mimebundle_()
    assert sum(len(text.encode()) for text in data.values()) <= 400_000
    assert "and 192 more" in data["text/html"]
    assert len(metadata["wan"]["sha256"]) == 128
    with Image.open(figure.save(tmp_path / "all.jpg")) as drawn:
        assert drawn.width > 20 * 200


def test_files_have_the_heads_too(zoo: RowsOfJobs, session: Session, tmp_path: Path) -> None:
    """PNG, JPEG and PDF are drawn and HTML is written, with heads of any language and length."""
    figure = comparison_of(zoo.jobs, rows="style", columns="animal")
    plain = comparison_of(zoo.jobs)
    for name, start in (("c.png", b"\x89PNG"), ("c.jpg", b"\xff\xd8"), ("c.pdf", b"%PDF"), ("c.html", b"<!doctype")):
        assert figure.save(tmp_path / name).read_bytes().startswith(start)
    with Image.open(figure.save(tmp_path / "f.png")) as drawn, Image.open(plain.save(tmp_path / "p.png")) as bare:
        assert drawn.width > 4 * 480 == bare.width  # the heads of the rows are beside them
    odd = batch_of(session, [{"animal": "狐狸" * 60, "style": "x" * 200, "seed": 1}])
    comparison_of(odd.jobs, rows="style", columns="animal").save(tmp_path / "odd.png")
    with pytest.raises(StoreError, match=r"c\.gif: unknown ending"):
        figure.save(tmp_path / "c.gif")


def test_a_batch_of_a_grid_shows_its_axes(session: Session, tmp_path: Path) -> None:
    """What ``wan.map`` returns needs no names of rows and columns, and can be compared as any jobs can."""
    rows = wan.grid(animal=["hen", "cat"], style=STYLES, seed=[1, 2])
    batch = wan.map(rows, "a {animal} in {style}", name="farm", session=session).result(WAIT_S)
    figure = batch.figure()
    assert figure.title == "animal × style"
    assert cells_of(figure)[1][1] == ["seed 1", "seed 2"]
    assert wan.compare(batch, rows="seed", columns="style", session=session).items[0].label == "animal hen"
    assert batch.sheet(tmp_path / "farm.pdf").read_bytes().startswith(b"%PDF")
    assert len(list(batch.to_dataset(tmp_path / "farm").iterdir())) == 9
    assert list(batch.to_pandas()["seed"]) == [1, 2] * 4
