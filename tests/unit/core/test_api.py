"""``wan.generate``, ``wan.compare`` and what the session does around them, over the built-in simulator."""

import base64
import inspect
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

import wan_notebook as wan
from tests.kit import WAIT_S, House, ask, at_cell, ended, small_png, until
from wan_notebook.errors import ImageInputError, RequestError, StoreError
from wan_notebook.kernel import current_cell, notebook_path
from wan_notebook.magics import cell_parser
from wan_notebook.replay import CellId, Submission
from wan_notebook.request import ImageRequest
from wan_notebook.session import Session

KEY = "sk-nobody-may-see-7Q9z"


@pytest.fixture
def session(house: House) -> Session:
    """Give one kernel."""
    return house.kernel()


def in_notebook(monkeypatch: pytest.MonkeyPatch, parent: dict[str, Any], **variables: Any) -> None:
    """Let a notebook's shell run in this process, as far as the package looks at it."""
    kernel = SimpleNamespace(get_parent=lambda: parent)
    shell = SimpleNamespace(user_ns=variables, execution_count=7, kernel=kernel)
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: shell))


# The package ---------------------------------------------------------------------------------------------------------


def test_public_names_are_functions_even_where_modules_have_their_names() -> None:
    """``wan.history()`` and ``wan.panel()`` work whatever was imported before."""
    import wan_notebook.history  # noqa: F401

    assert callable(wan.history)
    assert callable(wan.panel)
    assert {"generate", "history", "panel", "compare", "Job", "Picture", "ImageRequest", "WanError"} <= set(dir(wan))
    assert not {"session", "settings", "jobs"} & set(dir(wan))
    with pytest.raises(AttributeError, match="no attribute 'generat'"):
        _ = wan.generat


@pytest.mark.parametrize("function", [wan.generate, wan.history, wan.compare, wan.panel])
def test_public_functions_document_every_parameter(function: Any) -> None:
    """help() names each parameter, what comes back, what can go wrong, and shows an example."""
    text = inspect.getdoc(function) or ""
    for name in inspect.signature(function).parameters:
        assert name in text, name
    assert all(section in text for section in ("Parameters", "Returns", "Examples"))
    assert "WAN_API" not in text


def test_every_field_of_a_request_can_be_asked_for() -> None:
    """What a request can hold is a parameter of ``generate``, and what a cell can say is too."""
    parameters = {*inspect.signature(wan.generate).parameters}
    dests = {option.dest.replace("negative", "negative_prompt") for option in cell_parser().options}
    assert {*ImageRequest.model_fields} <= parameters
    assert {*ImageRequest.model_fields} - dests == {"prompt", "images"}


# generate ------------------------------------------------------------------------------------------------------------


def test_all_problems_come_at_once_and_nothing_is_sent(house: House, session: Session) -> None:
    """Misspelled parameters, pictures, seeds, names and types are one error, which shows no environment."""
    wrong = {"images": ["nothing.png"], "size": "huge", "name": "class", "fresh": "no", "embed": 1, "tags": [3]}
    with pytest.raises(RequestError) as caught:
        ask(session, "", seeed=3, seed=[-1, 2**31], enviroment={"A": KEY}, interleave=np.arange(2), **wrong)
    found = {problem.field: f"{problem}" for problem in caught.value.problems}

    assert {*found, "images"} == {*wrong, "seeed", "image", "prompt", "seed", "enviroment", "interleave"}
    assert "Did you mean seed?" in found["seeed"]
    assert KEY not in str(caught.value)
    assert (house.service.tasks_created, session.known_project()) == (0, None)


@pytest.mark.parametrize("field", ["name", "provider"])
@pytest.mark.parametrize("value", [3.5, ["a"], b"x", np.arange(2), float])
def test_what_is_no_text_is_said_to_be_none(session: Session, field: str, value: Any) -> None:
    """A name that is a number or a list is one sentence, not an AttributeError."""
    with pytest.raises(RequestError, match=rf"{field} = .*: must be text\."):
        ask(session, **{field: value})


def test_sizes_and_seeds_as_people_have_them(session: Session) -> None:
    """A pair of numbers, NumPy's integers, the shape of a picture, which is refused beside an explicit size."""
    wide = Image.new("RGB", (800, 400), "red")
    job = ask(session, size=(1024, 768), seed=np.arange(3, 5), tags="study").result(WAIT_S)
    assert job.seeds == (3, 4)
    assert (job.rows[0].parameters["size"], job.rows[0].tags) == ("1024*768", ("study",))
    assert ask(session, like=wide, seed=1).request.size == "1808*896"
    with pytest.raises(RequestError, match="both set the shape"):
        ask(session, like=wide, size=(1024, 768), seed=1)


def test_a_picture_in_memory_has_the_name_of_its_variable(
    session: Session, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The record says `photo`, not `image 1`; a path keeps its text, a job's picture its expression."""
    photo = Image.new("RGB", (300, 300), "red")
    path = tmp_path / "cat.png"
    photo.save(path)
    fox = ask(session, seed=1).result(WAIT_S)
    in_notebook(monkeypatch, {}, photo=photo, _1=photo)
    edit = ask(session, images=[photo, str(path), fox[0], np.zeros((300, 300, 3), np.uint8)], seed=2).result(WAIT_S)

    assert [given.name for given in edit.rows[0].inputs] == ["photo", "cat.png", f"{fox.id}[0]", "image 4"]


def test_calls_know_their_notebook_without_the_extension(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    """`wan.generate` before the first `%wan` counts for its notebook's budget; no variable moves it out."""
    parent = {"metadata": {"cellId": "c1"}, "header": {"msg_id": "m1"}, "content": {"allow_stdin": True}}
    in_notebook(monkeypatch, parent)
    monkeypatch.setenv("JPY_SESSION_NAME", "/home/ann/study.ipynb")
    row = ended(ask(session, seed=1)).rows[0]

    assert (row.notebook, row.cell_id) == ("/home/ann/study.ipynb", "c1")
    assert current_cell() == CellId("/home/ann/study.ipynb", "c1", "m1", is_interactive=False)
    monkeypatch.setenv("JPY_SESSION_NAME", "/home/ann/other.ipynb")
    assert session.cell().notebook == "/home/ann/study.ipynb"
    assert notebook_path(SimpleNamespace(user_ns={"__vsc_ipynb_file__": "/x.ipynb"})) == "/x.ipynb"


# Keys ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("field", ["prompt", "negative_prompt", "tags"])
def test_a_call_that_holds_the_key_is_refused_unwritten(house: House, tmp_path: Path, field: str) -> None:
    """In any of its forms: it would land in the ledger, in file names and at the service."""
    session = house.kernel(WAN_API_KEY=KEY, WAN_PROVIDER="simulator")
    packed = base64.b64encode(f"key={KEY}".encode()).decode()
    spaced = (" ".join(KEY), "\u200b".join(KEY), ":".join(f"{byte:02x}" for byte in KEY.encode()))
    for text in (f"a fox {KEY}", packed, KEY.encode().hex(), KEY.replace("-", "%2d"), *spaced):
        with pytest.raises(RequestError, match="contains an API key") as caught:
            ask(session, **{"prompt": "a fox", field: text})
        assert "7Q9z" not in str(caught.value)
    (file := tmp_path / f"{KEY}.png").write_bytes(small_png())
    other = house.kernel(DASHSCOPE_API_KEY="key_0123456789", WAN_PROVIDER="simulator")
    for kernel, given in ((session, {"images": [str(file)]}), (other, {"name": "key_0123456789"})):
        with pytest.raises(RequestError, match="contains an API key"):
            ask(kernel, **given)
    assert session.known_project() is None
    with pytest.raises(RequestError, match="contains an API key"):
        ask(session).tag("study", KEY)


# Plans ---------------------------------------------------------------------------------------------------------------


def test_looking_twice_does_not_count_as_running_twice(house: House, session: Session) -> None:
    """A dry run of a seedless cell leaves its stored picture to the run itself."""
    made = ended(ask(at_cell(session, "a", "1")))
    later = at_cell(house.kernel(), "a", "2")
    submission = Submission((ImageRequest(prompt="a fox in snow"),), cell=later.cell())
    assert session.plan(submission) != later.plan(submission)
    assert later.plan(submission).is_free
    assert later.submit(submission).id == made.id
    at_cell(later, "a", "3")
    assert not later.plan(Submission(submission.requests, cell=later.cell())).is_free


# Open jobs -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fingerprint", ["0" * 12, ""])
def test_jobs_of_another_key_are_left_alone_until_asked(house: House, session: Session, fingerprint: str) -> None:
    """They may come from somebody else's folder: nothing is asked with this person's key before a question."""
    house.configure(seconds=20.0)
    job = ask(session, seed=5)
    until(lambda: job.rows[0].task_id)
    foreign = {"key_fingerprint": fingerprint, "base_url": "http://elsewhere.test"}
    session.project().database.update(job.id, is_simulated=False, **foreign)
    session.close()
    later = house.kernel()

    assert later.resume() == []
    assert "1 job made with another key" in later.left_alone
    assert "%wan resume --all" in later.left_alone
    (tracked,) = later.resume(foreign=True)
    later.job(job.id)
    assert later.left_alone == "", "what was asked for once goes on when it is shown"
    until(lambda: "no key is sent there" in tracked.note + tracked.stopped)


# compare -------------------------------------------------------------------------------------------------------------


def test_a_comparison_names_what_differs_and_saves_itself(session: Session, tmp_path: Path) -> None:
    """What all share is said once, inputs are named, and PNG, PDF and HTML can be written."""
    photo = Image.new("RGB", (300, 300), "red")
    job = ask(session, images=[photo], seed=[1, 2]).result(WAIT_S)
    compared = wan.compare(job, columns=1, session=session)

    assert [item.label for item in compared.items] == [f"{job.id}[0]", f"{job.id}[1]"]
    assert [item.facts for item in compared.items] == [(("seed", "1"),), (("seed", "2"),)]
    assert {name for name, _ in compared.common} == {"cost", "input", "mode", "prompt", "size"}
    beside = wan.compare(photo, job, session=session)  # only its size can differ
    assert [dict(item.facts).keys() for item in beside.items] == [{"size"}, {"seed", "size"}, {"seed", "size"}]
    assert {name for name, _ in beside.common} == {"cost", "input", "mode", "prompt"}
    other = ask(session, images=[Image.new("RGB", (300, 300))], seed=1).result(WAIT_S)  # of the same name
    differing = [dict(item.facts)["input"] for item in wan.compare(job[0], other, session=session).items]
    assert differing == [f"image 1 ({made.rows[0].inputs[0].sha256[:6]})" for made in (job, other)]
    story = wan.compare(ask(session, interleave=True, max_images=2, seed=1).result(WAIT_S), session=session)
    assert next(name for name, _ in story.common) == "cost of 2 pictures"  # not of each
    for name, start in (("c.png", b"\x89PNG"), ("c.jpg", b"\xff\xd8"), ("c.pdf", b"%PDF"), ("c.html", b"<!doctype")):
        assert compared.save(tmp_path / "out" / name).read_bytes().startswith(start)
    with pytest.raises(StoreError, match=r"c\.gif: unknown ending"):
        compared.save(tmp_path / "c.gif")
    with Image.open(tmp_path / "out" / "c.png") as figure:
        assert figure.width < figure.height  # one column
    (small,) = wan.compare(Image.new("RGB", (20, 10)), session=session).items
    assert small.facts[0] == ("size", "20×10")  # too small to be sent is not too small to be looked at
    with pytest.raises(ImageInputError, match="image 1"):
        wan.compare(5, session=session)
