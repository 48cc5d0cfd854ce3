"""The models: what each takes, what each is told, what each costs; the simulator is a second reading of the same."""

import json
import runpy
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

import wan_notebook as wan
from tests.environment import ROOT
from tests.fakes.pictures import encoded
from tests.kit import House, Rig, ask, command, database_of, ended, history_of, rig
from tests.unit.simulator.conftest import Caller
from wan_notebook.budget import list_price
from wan_notebook.database import HistoryQuery, Price
from wan_notebook.display import history_table, job_bundle
from wan_notebook.errors import BudgetError, Problem, RequestError
from wan_notebook.images import InputImage
from wan_notebook.magics import cell_of_metadata, cell_of_row
from wan_notebook.metadata import read_any
from wan_notebook.models import GATEWAY_URL, MODEL, MODELS, RATIOS, WORKSPACE_REGIONS
from wan_notebook.providers import dialect_for
from wan_notebook.request import ImageRequest, fields_of
from wan_notebook.research import methods_paragraph, open_bundle, write_bundle
from wan_notebook.validation import Mode, expected_size, size_from_image, split_seeds

SMALL = encoded(Image.new("RGB", (320, 240)), "PNG")
T2I, WAN27, PRO = "wan2.6-t2i", "wan2.7-image", "wan2.7-image-pro"
SIZES = (
    "1K",
    "2K",
    "4K",
    *RATIOS,
    "768x768",
    "1280x1280",
    "1281x1280",
    "1440x1440",
    "1104x1472",
    "2048x2048",
    "4096x4096",
)
SIZES += ("2049x2048", "700x700", "4100x4100", "3000x500", "3000x370", "5000x840", "x", "0x5")


def picture(width_px: int = 320, height_px: int = 240) -> InputImage:
    """Return an input; only its data are those of a real picture."""
    return InputImage("ref", "bytes:sha256:00", SMALL, "image/png", width_px, height_px)


def sent(model: str, **fields: Any) -> dict[str, Any]:
    """Return the parameters of a request."""
    return ImageRequest(prompt="a fox", model=model, **fields).parameters()


def checked(**fields: Any) -> tuple[ImageRequest | None, list[Problem]]:
    """Return a request, or what is wrong with it."""
    try:
        return ImageRequest(**fields), []
    except RequestError as error:
        return None, error.problems


def problem(field: str, **fields: Any) -> str:
    """Return what is wrong with a field, which must be all that is wrong."""
    with pytest.raises(RequestError) as caught:
        ImageRequest(**{"prompt": "a fox", **fields})
    (found,) = caught.value.problems
    assert found.field == field
    return f"{found.message} {found.hint}"


@settings(max_examples=300, deadline=None)
@given(
    model=st.sampled_from(list(MODELS)),
    images=st.integers(0, 10).map(lambda count: (picture(),) * count) | st.just(()),
    size=st.none() | st.sampled_from(SIZES),
    n=st.integers(0, 13),
    sequential=st.booleans(),
    interleave=st.booleans(),
    others=st.fixed_dictionaries(
        {},
        optional={
            "thinking": st.booleans(),
            "prompt_extend": st.booleans(),
            "negative_prompt": st.sampled_from(("rain", "x" * 500, "x" * 501)),
            "max_images": st.integers(0, 6),
            "prompt": st.sampled_from(("", "狐" * 2000, "狐" * 2100, "x" * 5000, "x" * 5001)),
            "seed": st.integers(-1, 2**31),
            "watermark": st.booleans(),
        },
    ),
)
def test_the_simulator_takes_every_valid_request(model: str, others: dict[str, Any], **fields: Any) -> None:
    """In each service's own words; a refused one says which field, and what to do."""
    fields = {"prompt": "a fox", "model": model, **fields, **others}
    request, found = checked(**fields)
    if request is None:
        assert {one.field for one in found} <= {*ImageRequest.model_fields}
        assert all(one.message and one.hint for one in found)
        return
    caller = Caller()
    for provider in ("gateway", "dashscope"):
        for task in request.split(5):
            dialect = dialect_for(provider)
            call = dialect.submit(task, envelope=dialect.envelopes_for(model)[0])
            reply = caller.submit(provider, call.body)
            assert reply.status_code == 200, reply.text
        made = list(caller.simulator.tasks.values())[-1].request
        assert made.images_n <= task.pictures_asked
        if request.size and "x" in request.size:
            assert expected_size(request) == (made.width_px, made.height_px, "as asked")
        caller.simulator.tasks_created = 0


@pytest.mark.parametrize("model", [T2I, WAN27, PRO])
def test_a_size_is_refused_where_the_simulator_refuses_it(model: str) -> None:
    """Both readings draw the same line, for text, edits and sets."""
    caller = Caller()
    for size in SIZES:
        for extra in ({}, {"images": (picture(),)}, {"sequential": True, "n": 2}):
            if model == T2I and extra:
                continue
            fields = {"prompt": "a", "model": model, "size": size, **extra}
            unchecked = ImageRequest.model_construct(**fields)
            body = dialect_for("dashscope").submit(unchecked, envelope="flat").body
            body["parameters"].setdefault("size", size)  # as a program that checks nothing sends it
            is_taken = caller.submit("dashscope", body).status_code == 200
            assert is_taken is (checked(**fields)[0] is not None), (size, extra)


def test_every_model_is_told_how_many() -> None:
    """A forgotten ``n`` is four pictures at the service, and twelve of a set."""
    for model, record in MODELS.items():
        for mode in record.modes:
            images = (picture(),) if mode is Mode.EDIT else ()
            n = 2 if mode is Mode.SET else 1
            fields = {"images": images, "n": n, "interleave": mode is Mode.ILLUSTRATED, "sequential": mode is Mode.SET}
            assert sent(model, **fields)["n"] == n


def test_each_model_gets_its_own_fields() -> None:
    """Nothing that it does not document, and nothing that has no effect."""
    usual = {"n": 1, "watermark": False}
    assert sent(T2I) == {**usual, "prompt_extend": True, "size": "1280*1280"}
    for model in (WAN27, PRO):
        assert sent(model) == {**usual, "enable_sequential": False, "thinking_mode": True, "size": "2K"}
        assert sent(model, images=[picture()]) == {**usual, "enable_sequential": False, "size": "2K"}
        of_set = sent(model, sequential=True, n=4, size="1K")
        assert of_set == {"n": 4, "watermark": False, "enable_sequential": True, "size": "1K"}
    assert sent(WAN27, thinking=False)["thinking_mode"] is False
    assert sent(PRO, size="4K")["size"] == "4K"
    assert sent(T2I, size="16:9")["size"] == "1696*960"
    assert sent(WAN27, size="16:9")["size"] == "2688*1536"


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("ratio", RATIOS)
def test_every_model_has_every_shape(model: str, ratio: str) -> None:
    """So that models can be compared in one shape; the pixels are those of its name, within three hundredths."""
    width, height, _ = expected_size(ImageRequest(prompt="a", model=model, size=ratio)) or (0, 1, "")
    across, down = map(int, ratio.split(":"))
    assert width / height == pytest.approx(across / down, rel=0.03)


@pytest.mark.parametrize(
    ("field", "fields", "words"),
    [
        ("model", {"model": "wan3", "sequential": True, "n": 300}, "Use wan2.6-image, wan2.6-t2i, wan2.7-image, wan2"),
        (
            "images",
            {"model": T2I, "images": [picture()]},
            "t2i makes no edits. Leave them out, or use wan2.6-image",
        ),
        (
            "interleave",
            {"model": PRO, "interleave": True},
            "no illustrated text. Leave it out, or use wan2.6-image.",
        ),
        (
            "sequential",
            {"sequential": True, "n": 2},
            "no picture sets. Leave it out, or use wan2.7-image or wan2",
        ),
        (
            "negative_prompt",
            {"model": WAN27, "negative_prompt": "rain"},
            "Say it in the prompt, or use wan2.6-image",
        ),
        ("prompt_extend", {"model": WAN27, "prompt_extend": False}, "Leave it out, or use wan2.6-image or wan2.6-t2i."),
        ("thinking", {"thinking": True}, "wan2.6-image has no thinking. Leave it out, or use wan2.7-image or"),
        ("thinking", {"model": PRO, "thinking": True, "images": [picture()]}, "needs text to image, but this is edit."),
        ("max_images", {"model": T2I, "max_images": 2}, "has no max_images. Use n, or use wan2.6-image."),
        ("n", {"model": T2I, "n": 5}, "1 to 4 (text to image)"),
        ("n", {"model": WAN27, "sequential": True}, "2 to 12 (picture set)"),
        ("images", {"model": WAN27, "images": [picture()] * 10}, "at most 9 (edit). Leave out 1."),
        ("images", {"model": WAN27, "images": [picture(2000, 240)]}, "1:8 to 8:1"),
        ("prompt", {"model": WAN27, "prompt": "x" * 5001}, "at most 5000"),
        (
            "size",
            {"model": WAN27, "size": "4K"},
            "Use 1K, 2K, a shape such as 16:9 or pixels; 4K is of wan2.7-image-pro.",
        ),
        ("size", {"model": PRO, "size": "4K", "images": [picture()]}, "belongs to text to image, but this is edit."),
        (
            "size",
            {"model": T2I, "size": "2K"},
            "not a size of wan2.6-t2i. Use a shape such as 16:9 or pixels; 2K is of wan2.6-image,",
        ),
        ("size", {"model": T2I, "size": "1024x1024"}, "1280×1280 to 1440×1440"),
        ("size", {"model": PRO, "size": "8000x900"}, "between 1:8 and 8:1"),
    ],
)
def test_what_a_model_does_not_have_says_which_does(field: str, fields: dict[str, Any], words: str) -> None:
    """One message for one mistake, with a way out."""
    assert words in problem(field, **fields)


def test_a_model_is_part_of_the_request() -> None:
    """Another model is another picture; without one it is Wan 2.6 Image, with the hash that it always had."""
    plain = ImageRequest(prompt="a fox", seed=5)
    hashes = {ImageRequest(prompt="a fox", seed=5, model=model).request_hash(with_seed=True) for model in MODELS}
    assert (plain.model, len(hashes)) == (MODEL, len(MODELS))
    assert plain.canonical(with_seed=True) == {
        "model": "wan2.6-image",
        "prompt": "a fox",
        "images": [],
        "parameters": {"enable_interleave": True, "watermark": False, "n": 1, "max_images": 1, "seed": 5},
    }


@pytest.mark.parametrize(
    "fields",
    [
        {"model": T2I, "prompt_extend": False, "n": 3, "negative_prompt": "rain"},
        {"model": WAN27, "thinking": False, "size": "1K"},
        {"model": WAN27, "images": [picture()], "n": 3},
        {"model": PRO, "sequential": True, "n": 12, "images": [picture()]},
        {"model": PRO, "size": "4K", "seed": 7},
    ],
)
def test_what_was_sent_gives_back_the_request(fields: dict[str, Any]) -> None:
    """A request that is read from its record has the hash of the one that was sent: it is never paid again."""
    asked = ImageRequest(prompt="a", **fields)
    read = fields_of(asked.parameters(), asked.mode, asked.model)
    found = ImageRequest(prompt="a", images=asked.images, negative_prompt=asked.negative_prompt, **read)
    assert found.request_hash(with_seed=True) == asked.request_hash(with_seed=True)


def test_pictures_of_one_task_take_one_seed() -> None:
    """Only of Wan 2.6 Image is each picture from text a task of its own; only there seeds overlap."""
    counts = {model: len(ImageRequest(prompt="a", n=3, model=model).split(5)) for model in MODELS}
    assert counts == {MODEL: 3, T2I: 1, WAN27: 1, PRO: 1}
    assert split_seeds([5, 6], n=3, mode=Mode.TEXT_TO_IMAGE).problems
    assert not split_seeds([5, 6], n=3, mode=Mode.TEXT_TO_IMAGE, model=T2I).problems


@pytest.mark.parametrize("model", MODELS)
def test_like_gives_a_size_that_is_taken(model: str) -> None:
    """The shape of a picture, at the model's usual tier."""
    size, problems = size_from_image([picture(900, 1200)], shown="ref", size=None, mode=Mode.TEXT_TO_IMAGE, model=model)
    assert not problems
    width, height, _ = expected_size(ImageRequest(prompt="a", size=size, model=model)) or (0, 1, "")
    assert width / height == pytest.approx(0.75, rel=0.02)


def test_the_list_price_is_that_of_the_model_and_the_place() -> None:
    """A workspace costs what its region costs; where no page was found, nothing is guessed."""
    singapore = f"https://ws-1.{WORKSPACE_REGIONS['Singapore']}.maas.aliyuncs.com/api/v1"
    frankfurt = f"https://ws-1.{WORKSPACE_REGIONS['Frankfurt']}.maas.aliyuncs.com/api/v1"
    found = {
        (model, where): str(price and (price.amount, price.currency, price.note))
        for model in (MODEL, PRO)
        for where, price in (
            ("gateway", list_price("gateway", model, GATEWAY_URL)),
            ("Beijing", list_price("dashscope", model, "https://dashscope.aliyuncs.com/api/v1")),
            ("Singapore", list_price("dashscope", model, singapore)),
            ("Frankfurt", list_price("dashscope", model, frankfurt)),
            ("elsewhere", list_price("gateway", model, "http://127.0.0.1:9")),
        )
    }
    listed = "'list price, Dec 2026')"
    assert found == {
        (MODEL, "gateway"): f"(Decimal('0.03'), 'USD', {listed}",
        (MODEL, "Beijing"): f"(Decimal('0.20'), 'CNY', {listed}",
        (MODEL, "Singapore"): f"(Decimal('0.03'), 'USD', {listed}",
        (PRO, "gateway"): "None",
        (PRO, "Beijing"): f"(Decimal('0.50'), 'CNY', {listed}",
        (PRO, "Singapore"): f"(Decimal('0.075'), 'USD', {listed}",
        **{(model, where): "None" for model in (MODEL, PRO) for where in ("Frankfurt", "elsewhere")},
    }


def test_the_readme_has_every_model() -> None:
    """Its tables are written from the same records."""
    filled = runpy.run_path(str(ROOT / "scripts/readme_tables.py"))["filled"]
    readme = (ROOT / "README.md").read_text("utf-8")
    assert filled(readme) == readme


# From a call to its picture ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("provider", ["gateway", "dashscope"])
@pytest.mark.parametrize(
    ("fields", "tasks", "pictures", "mode"),
    [
        ({"model": T2I, "n": 3}, 1, 3, "text to image"),
        ({"model": WAN27, "n": 2, "images": [Image.new("RGB", (300, 300))]}, 1, 2, "edit"),
        ({"model": WAN27, "n": 12, "sequential": True}, 1, 2, "picture set"),
        ({"model": PRO, "thinking": False}, 1, 1, "text to image"),
        ({"model": MODEL, "n": 2}, 2, 2, "text to image"),
    ],
)
def test_every_model_answers(
    tmp_path: Path, provider: str, fields: dict[str, Any], tasks: int, pictures: int, mode: str
) -> None:
    """One submit a task in each service's own words; the same call again, and its recalled cell, cost nothing."""
    with rig(tmp_path, provider=provider) as at:
        session = at.kernel()
        job = ended(ask(session, "a fox", seed=5, **fields))
        assert (len(job.images), job.mode, at.service.requests["submit"]) == (pictures, mode, tasks)
        assert {row.model for row in history_of(session)} == {fields["model"]}
        assert all(row.is_complete and row.missing == 0 for row in history_of(session))
        again = ask(at.kernel(), "a fox", seed=5, **fields)
        assert (len(again.replayed), at.service.tasks_created) == (tasks, tasks)
        cell = str(cell_of_row(job.request, job.rows[0], at.folder))
        assert (f"--model {fields['model']}" in cell) is (fields["model"] != MODEL)


def test_a_sibling_is_asked_in_the_form_that_its_page_documents(tmp_path: Path) -> None:
    """The gateway's siblings take ``params``: one POST, not a refused one first; each model keeps what worked."""
    with rig(tmp_path) as at:
        session = at.kernel()
        for model in (MODEL, WAN27, MODEL):
            ended(ask(session, "a fox", model=model, fresh=True))
        assert at.service.requests["submit"] == 3


# Money ---------------------------------------------------------------------------------------------------------------


def test_a_price_of_one_model_is_none_of_another(tmp_path: Path) -> None:
    """Neither an estimate nor a budget goes by what another model was billed."""
    with rig(tmp_path) as at:
        session = at.kernel(WAN_BUDGET="1 USD")
        session.loader.store(prices={"gateway": ["0.05", "USD"]})
        ended(ask(session, "a fox", model=PRO))
        session.loader.store(prices={})
        other = at.kernel(WAN_BUDGET="1 USD")
        assert other.budgets.unit_price("gateway", PRO) is not None
        assert other.budgets.unit_price("gateway", WAN27) is None
        with pytest.raises(BudgetError, match="a price is not known"):
            ask(other, "a fox", model=WAN27)
        ended(ask(other, "an owl", model=PRO))


@pytest.fixture
def beijing(tmp_path: Path) -> Any:
    """A rig at DashScope's own address, which reports no prices."""
    with rig(tmp_path, provider="dashscope") as at:
        yield at


def test_an_estimate_is_there_from_the_first_picture_on(beijing: Rig) -> None:
    """The list price, marked as such; a budget goes by it only when the person says so."""
    address = {"WAN_BASE_URL": "https://dashscope.aliyuncs.com"}
    session = beijing.kernel(**address)
    job = ended(ask(session, "a fox", model=PRO, seed=1))
    assert str(job.cost) == "≈¥0.50 (list price, Dec 2026)"
    limited = beijing.kernel(**address, WAN_BUDGET="2 CNY")
    with pytest.raises(BudgetError, match="a price is not known") as caught:
        ask(limited, "an owl", model=PRO)
    assert "`price=list` (¥0.20, list price, Dec 2026)" in caught.value.hint
    command(limited, "config price.dashscope=list")
    ended(ask(limited, "an owl", model=PRO, seed=2))
    assert database_of(limited).spend().total.known("CNY") == 1
    with pytest.raises(BudgetError, match=r"could cost ¥1\.50 and exceed .* ¥1\.00 used"):
        ask(limited, "a hen", model=PRO, n=3)
    ended(ask(limited, "a hen", n=4, seed=3))
    assert limited.budgets.lines() == ["¥2.00 in total (WAN_BUDGET): ¥1.80 used, ¥0.00 reserved for running jobs"]


def test_a_list_price_gives_way_to_a_bill_and_to_a_setting(tmp_path: Path) -> None:
    """It is for what nobody said."""
    with rig(tmp_path) as at:
        session = at.kernel()
        book = session.budgets
        assert book.unit_price("gateway", MODEL, GATEWAY_URL) == Price(Decimal("0.03"), "USD", listed="Dec 2026")
        at.configure(price=Decimal("0.04"))
        ended(ask(session, "a fox"))
        assert session.budgets.unit_price("gateway", MODEL, GATEWAY_URL).note.startswith("as billed")
        session.loader.store(prices={"gateway": ["0.05", "USD"]})
        assert session.budgets.unit_price("gateway", MODEL, GATEWAY_URL).note == "price as set"


def test_a_batch_of_several_models_costs_what_each_costs(beijing: Rig) -> None:
    """The plan, the reservation, the check of the budget and the bill: none of them takes one price for all."""
    address = {"WAN_BASE_URL": "https://dashscope.aliyuncs.com"}
    session = beijing.kernel(**address, WAN_BUDGET="0.8 CNY")
    rows = wan.grid(model=[MODEL, PRO], animal=["fox"])
    call = {"size": "16:9", "seed": 5, "name": "zoo", "session": session}
    plan = wan.map(rows, "a {animal}", dry_run=True, **call)
    assert plan.cost_text == "up to ¥0.70 (list price, Dec 2026)"
    with pytest.raises(BudgetError, match="a price is not known"):
        wan.map(rows, "a {animal}", **call)
    command(session, "config price.dashscope=list")
    batch = wan.map(rows, "a {animal}", **call).result(30)
    assert [str(job.cost) for job in batch] == [f"≈¥{price} (list price, Dec 2026)" for price in ("0.20", "0.50")]
    assert [job.rows[0].parameters["size"] for job in batch] == ["1280*720", "2688*1536"]
    with pytest.raises(BudgetError, match=r"could cost ¥0\.20 and exceed"):
        wan.map([{"model": MODEL}], "an owl", session=session)


def test_a_wrong_model_or_option_is_said_with_its_row(beijing: Rig) -> None:
    """Before anything is written."""
    rows = [{"model": MODEL, "n": 2}, {"model": "wan9"}, {"model": T2I, "n": 5}, {"model": PRO, "interleave": True}]
    with pytest.raises(RequestError) as caught:
        wan.map(rows, "a fox", session=beijing.kernel())
    said = "\n".join(caught.value.lines())
    assert "row 1" not in said
    for row, words in ((2, "wan9"), (3, "1 to 4"), (4, "makes no illustrated text")):
        assert f"row {row}" in said
        assert words in said


# The record ----------------------------------------------------------------------------------------------------------


def test_the_record_names_the_model(house: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The card, the history, the methods paragraph, the picture's own metadata, and a bundle that opens elsewhere."""
    session = house.kernel()
    job = ended(ask(session, "a fox", model=T2I, n=2, seed=5))
    photo = Image.new("RGB", (300, 300))
    other = ended(ask(session, "a fox", model=WAN27, sequential=True, n=3, seed=5, images=[photo]))
    assert "wan2.6-t2i · text to image" in job_bundle(job, session)[0]["text/plain"]
    assert "wan2.7-image · picture set" in history_table(session, HistoryQuery()).to_text()
    text = methods_paragraph(session, None, shown=[job.id, other.id])
    assert "rewriting of prompts was on in 1 of 1 rewritable request" in text
    metadata = read_any(other.files[0].read_bytes())
    assert metadata is not None
    cell, _ = cell_of_metadata(metadata, session)
    assert cell.line.endswith("-n 3 --model wan2.7-image --sequential --seed 5")
    notebook = house.folder.parent / "study.ipynb"
    shown = {"cell_type": "code", "id": "c1", "metadata": {}, "execution_count": 1, "source": "job", "outputs": []}
    document = {"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": [shown]}
    notebook.write_text(json.dumps(document), "utf-8")
    write_bundle(session, notebook, tmp_path / "out.zip", shown=[job.id, other.id])
    there = House(tmp_path / "there")
    monkeypatch.chdir(there.folder.parent)
    reader = there.kernel()
    assert "2 jobs added" in open_bundle(tmp_path / "out.zip", reader)[0]
    assert ask(reader, "a fox", model=T2I, n=2, seed=5).id == job.id
    assert there.service.tasks_created == 0
    there.close()
