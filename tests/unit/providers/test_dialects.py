"""The dialects: each documented example is a file in data/wire with what it means; forms beyond it; hostile replies."""

import base64
import json
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.fakes.attacks import NOT_AMOUNTS
from tests.fakes.network import PAGE, REQUEST, Answers, failure_of, make_client, run, status, submit
from wan_notebook.errors import InvalidRequestError, RequestError, SettingsError, UnexpectedReplyError, WanError
from wan_notebook.images import InputImage, PendingImage
from wan_notebook.providers import NO_PICTURE, Output, Phase, TaskState, dialect_for
from wan_notebook.request import ImageRequest

WIRE = Path(__file__).parents[2] / "data" / "wire"
EXAMPLES = {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in sorted(WIRE.glob("*.json"))}


def request_of(fields: dict[str, Any]) -> ImageRequest:
    """Build the request that an example file describes."""
    images = [
        InputImage(f"image {k}", f"id {k}", base64.b64decode(data), mime, 300, 300)
        for k, (mime, data) in enumerate(fields.get("images", []), 1)
    ]
    return ImageRequest(**{**fields, "images": images})


def plain(value: Any) -> Any:
    """Bring what a reader returns into the form in which the example files write it."""
    if isinstance(value, Output):
        return [value.kind, value.url, value.text, value.remote_id]
    if isinstance(value, Decimal):
        return str(value)
    return [plain(item) for item in value] if isinstance(value, tuple) else value


def poll(body: Any, provider: str = "gateway") -> TaskState:
    """Read a poll's reply through the client."""
    text = json.dumps(body)
    found = run(make_client(Answers(httpx.Response(200, text=text)), provider=provider), status)
    assert isinstance(found, TaskState)
    return found


def test_a_task_with_thousands_of_pictures_fills_no_disk() -> None:
    """A reply of a megabyte can name thousands of pictures of 64 MB each: a hundred are kept. Long ids stay whole."""
    items = [{"type": "image", "url": f"https://example.com/{k}.png"} for k in range(3000)]
    assert len(poll({"id": "t", "status": "completed", "output": [{"content": items}]}).outputs) == 100
    text = json.dumps({"id": "t" * 300, "n": 0})[:-2] + "9" * 5000 + "}"
    assert run(make_client(Answers(httpx.Response(200, text=text))), submit).task_id == "t" * 300


@pytest.mark.parametrize("name", [name for name, example in EXAMPLES.items() if example["kind"] != "list"])
def test_the_documented_examples_mean_what_is_documented(name: str) -> None:
    """WAN_API §1-§3: what is sent, an id in whatever wrapping, errors of every shape, results in order, exact costs."""
    example = EXAMPLES[name]
    if example["kind"] == "request":
        call = dialect_for(example["dialect"]).submit(request_of(example["request"]), envelope=example["envelope"])
        assert json.loads(json.dumps(call.body)) == example["body"]
        assert (call.method, call.path, dict(call.headers)) == (example["method"], example["path"], example["headers"])
        return
    answers = Answers(httpx.Response(409 if example["kind"] == "fault" else 200, json=example["body"]))
    client = make_client(answers, provider=example["dialect"])
    if example["kind"] == "fault":
        error = failure_of(client, submit)
        found = {"code": error.code, "message": error.service_message, "request_id": error.request_id}
    else:
        found = vars(run(client, submit if example["kind"] == "submit" else status))
    assert {field: plain(found[field]) for field in example["means"]} == example["means"]


IMAGE = {"type": "image", "url": "https://h/1.png"}
TIMES = {"submit_time": "2026-01-09 17:52:04", "end_time": "2026-01-09 17:52:03"}


@pytest.mark.parametrize(
    ("body", "phase"),
    [
        *[({"status": word, "output": [IMAGE]}, "succeeded") for word in ("success", "DONE", "Succeed", "finished")],
        *[({"status": word}, "pending") for word in ("in_queue", "QUEUED", "submitted", "waiting", "pending")],
        ({"data": {"id": "t", "status": "done", "outputs": [IMAGE]}, "code": 0, "message": "ok"}, "succeeded"),
        ({"status": "completed", "outputs": [{**IMAGE, "text": None, "width": 8, "height": 8}]}, "succeeded"),
        ({"status": "ready", "output": [{"type": "image", "url": "soon"}]}, "running"),
        ({"output": [IMAGE]}, "succeeded"),
        ({"status": "completed", "output": [{"type": "text", "text": "once"}]}, "failed"),
        ({"output": {"task_status": "unknown", **TIMES}}, "unknown"),
        ({"output": {"task_status": "suspended", **TIMES}}, "running"),
        ({"output": {"task_status": "CANCELED", **TIMES}}, "cancelled"),
    ],
)
def test_an_unknown_status_is_judged_by_what_stands_beside_it(body: dict[str, Any], phase: str) -> None:
    """WAN_API §2, §3: beside a usable address finished, beside an error failed; a success without a picture is none.

    Words are read in any case, and only DashScope's UNKNOWN means that there is no such task.
    """
    state = poll(body, "dashscope" if "task_status" in str(body) else "gateway")
    assert (state.phase, bool(state.error_code)) == (phase, phase == "failed")
    assert len(state.files) == (phase == "succeeded" or "soon" in str(body))
    assert state.duration_s is None, "times in the wrong order teach nothing about durations"


WITHHELD = {"finish_reason": "stop", "code": "DataInspectionFailed", "message": {"role": "assistant", "content": []}}


@pytest.mark.parametrize(
    ("output", "code", "hint"),
    [
        ({"task_status": "SUCCEEDED", "choices": []}, NO_PICTURE, "costs nothing"),
        ({"task_status": "SUCCEEDED", "choices": [WITHHELD]}, "DataInspectionFailed", "change the prompt"),
        ({"task_status": "FAILED", "code": "InternalError.Algo"}, "InternalError.Algo", "run"),
        ({"task_status": "FAILED", "code": "Arrearage"}, "Arrearage", "bill"),
    ],
)
def test_a_task_without_a_picture_failed_for_its_own_reason(output: dict[str, Any], code: str, hint: str) -> None:
    """CASES S3, S4: a success without a result is a failure; the advice follows from the code, not from the status."""
    state = poll({"output": output}, "dashscope")
    assert (state.phase, state.error_code) == (Phase.FAILED, code)
    assert hint in state.error_hint
    assert "prompt" not in state.error_hint or not code.startswith("InternalError")


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        ({"error": "no", "error_type": "T", "provider_error": {"code": "P", "message": "why"}}, "P", "no T why"),
        ({"error": {"message": "no", "provider_error": {"code": "P", "message": "why"}}}, "P", "no why"),
        ({"code": "E1", "message": "a\x1b[31m\r\nb\u202e\x00"}, "E1", "a b"),
        ({"error": {"code": "x" * 999, "message": "y" * 9999}}, "x" * 255 + "…", "yyy"),
    ],
)
def test_everything_that_an_error_says_reaches_the_person(error: dict[str, Any], code: str, words: str) -> None:
    """WAN_API §2, §3: nested causes too, as harmless words of limited length; on a submit it is a refusal."""
    refusal = failure_of(make_client(Answers(httpx.Response(200, json=error))), submit)
    assert (type(refusal), refusal.code) == (InvalidRequestError, code)
    assert all(word in refusal.service_message for word in words.split())
    assert str(refusal).replace("\n", "").isprintable()
    assert len(refusal.service_message) <= 500


NOTHING = [None, 3, "", "no", [], {}, {"output": {}}, {"output": []}, {"message": "ok"}, {"code": 0, "message": "done"}]
UNREADABLE = [PAGE.encode(), b"<?xml?><Error/>", b"", b"[" * 100_000, b'{"id": ' + b"9" * 10_000, b"\xff\xfe\x00"]
UNREADABLE += [b"x" * 2_000_000]


@pytest.mark.parametrize("provider", ["gateway", "dashscope"])
@pytest.mark.parametrize("content", [*(json.dumps(body).encode() for body in NOTHING), *UNREADABLE])
def test_a_reply_that_says_nothing_is_neither_a_refusal_nor_a_failure(provider: str, content: bytes) -> None:
    """A submit is in doubt then, and of a poll the task must not be taken for failed; nothing crashes."""
    for call in (submit, status):
        client = make_client(Answers(httpx.Response(200, content=content)), provider=provider)
        assert isinstance(failure_of(client, call), UnexpectedReplyError)


TOLD = [(0.4, 0.4), ("0.4", 0.4), (1, 1.0), *[(raw, None) for raw in (40, -1, "soon", 1e9, [])]]


@pytest.mark.parametrize(
    ("field", "value", "expected"),
    [
        *[("progress", raw, read) for raw, read in TOLD],
        *[("cost_usd", {"cost": raw}, None) for raw in (*NOT_AMOUNTS, True, [], 10**400, "1e99", "1e-99")],
        *[("cost_usd", {"cost": "0.20", "currency": raw}, Decimal("0.20")) for raw in ("USD", "usd", None)],
        ("cost_usd", {"cost": "0.20", "currency": "CNY"}, None),
    ],
)
def test_a_number_that_is_none_is_unknown_and_never_zero(field: str, value: object, expected: object) -> None:
    """WAN_API §2: progress is a fraction or nothing; no hostile amount fills the memory; CNY are no dollars."""
    body = {"status": "in_progress", ("progress" if field == "progress" else "usage"): value}
    assert getattr(poll(body), field) == expected


BAD_URLS = ["", "cloud.vtrix.ai", "ftp://h", "https://", "http://[::1", "https://h:99999999", "https://u:p@h"]
BAD_URLS += ["https://xn--\u2028.example", "https://" + "a" * 70_000]


@pytest.mark.parametrize(
    ("provider", "given", "base"),
    [
        ("gateway", " https://cloud.vtrix.ai/ ", "https://cloud.vtrix.ai"),
        ("gateway", "https://cloud.vtrix.ai/model/v1/generation", "https://cloud.vtrix.ai"),
        ("dashscope", "https://dashscope.aliyuncs.com", "https://dashscope.aliyuncs.com/api/v1"),
        ("dashscope", "http://127.0.0.1:9/proxy/", "http://127.0.0.1:9/proxy/api/v1"),
        *[("gateway", url, None) for url in BAD_URLS],
    ],
)
def test_base_urls_are_brought_into_one_form(provider: str, given: str, base: str | None) -> None:
    """WAN_API §3: with or without the API's path; one that cannot work is told at once, and never with a password."""
    if base:
        assert make_client(Answers(), provider=provider, base_url=given).base_url == base
        return
    with pytest.raises(SettingsError) as caught:
        make_client(Answers(), base_url=given)
    assert caught.value.hint
    assert "u:p" not in str(caught.value)
    assert len(str(caught.value)) < 500


def test_a_picture_that_is_not_finished_is_never_sent() -> None:
    """A placeholder must not reach a paid service."""
    with pytest.raises(RequestError, match="not finished"):
        dialect_for("gateway").submit(REQUEST.replace(images=(PendingImage("job", "a3f"),)), envelope="flat")


def test_task_ids_are_quoted_in_paths() -> None:
    """An id comes from outside: it must not lead to another call."""
    for provider, path in (("gateway", "/model/v1/generation/task/"), ("dashscope", "/api/v1/tasks/")):
        answers = Answers(httpx.Response(500))
        failure_of(make_client(answers, provider=provider), lambda client: client.status("a/b?"))
        assert answers.requests[0].url.raw_path.decode() == f"{path}a%2Fb%3F"


NAMES = (
    "id status task_id task_status output outputs choices message content type url image text jobId error code data "
    "usage cost progress created_at metadata results tasks total submit_time end_time provider_error request_id"
)
FIELDS = st.sampled_from(NAMES.split())
TEXTS = st.text(st.characters(exclude_categories=()), max_size=20) | st.sampled_from(
    ["completed", "SUCCEEDED", "failed", "image", "https://h/1.png", "2026-01-09 17:52:04.136", "1e999"]
)
SCALARS = st.none() | st.booleans() | st.integers() | st.just(10**400) | st.floats() | TEXTS
JSON = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(FIELDS | TEXTS, inner, max_size=6),
    max_leaves=25,
)


@given(body=JSON | st.dictionaries(FIELDS, JSON, max_size=8), code=st.sampled_from([200, 200, 400, 500]))
def test_any_json_is_read_without_an_exception_of_its_own(body: Any, code: int) -> None:
    """A hostile or broken reply never crashes the poller; what is read can be stored in any database and shown."""
    for provider in ("gateway", "dashscope"):
        for call in (status, submit, lambda client: client.cancel("t")):
            answers = [httpx.Response(code, text=json.dumps(body)) for _ in range(2)]
            try:
                found = run(make_client(Answers(*answers), provider=provider), call)
            except WanError as error:
                found = str(error)
            assert not isinstance(found, str) or found.isprintable()
            if isinstance(found, TaskState):
                facts = plain(tuple(vars(replace(found, cost_usd=None)).values()))
                everything = json.dumps(facts, allow_nan=False, ensure_ascii=False)
                assert "\\u0000" not in everything.encode().decode(), "half characters could not be encoded"
                assert found.progress is None or 0 <= found.progress <= 1
                assert found.phase is not Phase.SUCCEEDED or found.files
