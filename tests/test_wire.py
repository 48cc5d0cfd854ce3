"""The dialects: every documented example is a file in data/wire, and what it means is written beside it."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from wan_notebook.inputs import InputImage
from wan_notebook.request import ImageRequest
from wan_notebook.wire import Output, Phase, ServiceFault, Submitted, dialect_for, encode_body

EXAMPLES = {
    path.stem: json.loads(path.read_text(encoding="utf-8"))
    for path in sorted((Path(__file__).parent / "data" / "wire").glob("*.json"))
}


def examples(*kinds: str) -> list[str]:
    """Name the example files of some kinds."""
    return [name for name, example in EXAMPLES.items() if example["kind"] in kinds]


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


def shown(value: object, wanted: dict[str, Any]) -> dict[str, Any]:
    """Return what a reader found, for the fields that an example file states."""
    return {name: plain(getattr(value, name)) for name in wanted}


@pytest.mark.parametrize("name", examples("request"))
def test_a_request_is_sent_exactly_as_documented(name: str) -> None:
    """WAN_API §1-§3: one text first, then the pictures in their order, `n` and the seed always, each envelope."""
    example = EXAMPLES[name]
    call = dialect_for(example["dialect"]).submit(request_of(example["request"]), envelope=example["envelope"])
    assert json.loads(encode_body(call)) == example["body"]
    assert (call.method, call.path, dict(call.headers)) == (example["method"], example["path"], example["headers"])


@pytest.mark.parametrize("name", examples("submit", "fault"))
def test_a_submit_reply_means_what_is_documented(name: str) -> None:
    """WAN_API §2, §3: an id is a task; an error and no id is a failed submit, whatever its shape."""
    example = EXAMPLES[name]
    found = dialect_for(example["dialect"]).read_submit(example["body"])
    assert isinstance(found, Submitted if example["kind"] == "submit" else ServiceFault)
    assert shown(found, example["means"]) == example["means"]


@pytest.mark.parametrize("name", examples("poll"))
def test_a_poll_reply_means_what_is_documented(name: str) -> None:
    """WAN_API §2, §3: status, results in order, cost as Decimal, the server's own duration, errors of both shapes."""
    example = EXAMPLES[name]
    state = dialect_for(example["dialect"]).read_poll(example["body"], task_id="task-7f3a")
    assert state is not None
    assert shown(state, example["means"]) == example["means"]
    json.dumps({"usage": state.usage, "metadata": state.metadata})  # the ledger stores them


@pytest.mark.parametrize("name", examples("list"))
def test_a_task_list_means_what_is_documented(name: str) -> None:
    """WAN_API §3: the list is enough to find a task whose submit reply was lost; its times are unix milliseconds."""
    example = EXAMPLES[name]
    page = dialect_for(example["dialect"]).read_list(example["body"])
    assert (page.total, page.pages) == (example["means"]["total"], example["means"]["pages"])
    wanted = example["means"]["tasks"]
    assert [shown(task, want) for task, want in zip(page.tasks, wanted, strict=True)] == wanted


@pytest.mark.parametrize(
    "body",
    [
        {"output": {"task_list": [{"task_id": "a", "task_status": "PENDING"}]}},
        {"tasks": [{"output": {"task_id": "a", "task_status": "PENDING"}}]},
        {"output": {"data": [{"task_id": "a", "status": "pending"}]}, "total": "1"},
    ],
)
def test_a_task_list_is_read_under_any_plausible_name(body: dict[str, Any]) -> None:
    """The page documents the call but not its reply: be liberal in what is accepted."""
    (task,) = dialect_for("dashscope").read_list(body).tasks
    assert (task.task_id, task.phase) == ("a", Phase.PENDING)


def test_list_call_writes_times_as_they_stand() -> None:
    """WAN_API §3: YYYYMMDDhhmmss without a zone, this model only, a page at a time."""
    start, end = datetime(2026, 1, 9, 3, 4, 5, tzinfo=UTC), datetime(2026, 1, 10, tzinfo=UTC)
    call = dialect_for("dashscope").list_tasks(start=start, end=end, page=2, page_size=50, status="SUCCEEDED")
    assert (call.method, call.path) == ("GET", "/tasks")
    assert dict(call.params) == {
        "start_time": "20260109030405",
        "end_time": "20260110000000",
        "model_name": "wan2.6-image",
        "page_no": "2",
        "page_size": "50",
        "status": "SUCCEEDED",
    }


@pytest.mark.parametrize(
    ("provider", "status", "phase"),
    [
        ("gateway", "pending", Phase.PENDING),
        ("gateway", "processing", Phase.RUNNING),
        ("gateway", "COMPLETED", Phase.SUCCEEDED),
        ("gateway", "Failed", Phase.FAILED),
        ("gateway", "unknown", Phase.RUNNING),
        ("gateway", "warming_up", Phase.RUNNING),
        ("dashscope", "suspended", Phase.RUNNING),
        ("dashscope", "unknown", Phase.UNKNOWN),
        ("dashscope", "succeeded", Phase.SUCCEEDED),
    ],
)
def test_statuses_are_read_in_any_case_and_unknown_ones_are_still_running(
    provider: str, status: str, phase: Phase
) -> None:
    """WAN_API §2: unknown values mean still running; only DashScope's UNKNOWN means that there is no such task."""
    body = {"status": status} if provider == "gateway" else {"output": {"task_status": status}}
    state = dialect_for(provider).read_poll(body, task_id="t")
    assert state is not None
    assert (state.phase, state.raw_status, state.task_id) == (phase, status, "t")


@pytest.mark.parametrize(
    ("raw", "progress"),
    [(0.4, 0.4), ("0.4", 0.4), (1, 1.0), (40, 0.4), (-1, None), (True, None), ("soon", None), (1e9, None)],
)
def test_progress_is_a_fraction_or_nothing(raw: object, progress: float | None) -> None:
    """WAN_API §2: 0.0-1.0, often absent; numbers may come as texts, and nonsense is no progress."""
    state = dialect_for("gateway").read_poll({"status": "in_progress", "progress": raw}, task_id="t")
    assert state is not None
    assert state.progress == progress


@pytest.mark.parametrize("cost", ["1e999999", "1e-999999", "-1", "NaN", "free", True, [], "9" * 40, 10**400])
def test_a_cost_that_is_no_price_is_unknown_and_never_zero(cost: object) -> None:
    """Unknown is never 0, and a hostile amount must not fill the memory when it is written out."""
    state = dialect_for("gateway").read_poll({"status": "completed", "usage": {"cost": cost}}, task_id="t")
    assert state is not None
    assert state.cost_usd is None


@pytest.mark.parametrize(("currency", "known"), [("USD", True), ("usd", True), (None, True), ("CNY", False)])
def test_another_currency_is_not_called_dollars(currency: str | None, known: bool) -> None:
    """The cost is documented to be in USD; where the service says otherwise the amount is recorded and unknown."""
    usage = {"cost": "0.20", **({"currency": currency} if currency else {})}
    state = dialect_for("gateway").read_poll({"status": "completed", "usage": usage}, task_id="t")
    assert state is not None
    assert (state.cost_usd is not None) is known
    assert state.usage["cost"] == "0.20"


@pytest.mark.parametrize(
    "output",
    [
        [{"content": {"type": "image", "url": "https://h/1.png"}}],
        {"content": [{"type": "image", "url": "https://h/1.png"}]},
        [{"type": "image", "url": "https://h/1.png"}],
        [{"content": [{"image": "https://h/1.png"}]}],
        [{"content": [{"type": "image_url", "image_url": {"url": "https://h/1.png"}}]}],
        [{"content": [None, 3, {"type": "image", "url": " https://h/1.png "}, {"type": "image"}]}],
    ],
)
def test_gateway_output_is_found_in_every_likely_shape(output: object) -> None:
    """WAN_API §2: one output group or several; a paid picture must not be lost to a changed wrapping."""
    state = dialect_for("gateway").read_poll({"status": "completed", "output": output}, task_id="t")
    assert state is not None
    assert [(o.kind, o.url) for o in state.outputs] == [("image", "https://h/1.png")]
    assert state.files == state.outputs


def test_results_of_older_models_and_partial_failures_are_read() -> None:
    """WAN_API §3: a task with several subtasks is SUCCEEDED if one succeeded; the others carry an error, no URL."""
    results = [{"url": "https://h/1.png"}, {"code": "InternalError", "message": "sorry"}]
    body = {"output": {"task_status": "SUCCEEDED", "results": results, "video_url": "https://h/v"}}
    state = dialect_for("dashscope").read_poll(body, task_id="t")
    assert state is not None
    assert [(o.kind, o.url) for o in state.outputs] == [("image", "https://h/1.png"), ("video", "https://h/v")]
    assert (state.error_code, state.error_message) == ("", "")


@pytest.mark.parametrize(
    ("submit_time", "end_time"),
    [("", ""), ("2026-01-09 17:52:04", None), ("2026-01-09 17:52:04", "2026-01-09 17:52:03"), (3, 4), ("x", "y")],
)
def test_a_duration_needs_two_times_of_one_clock(submit_time: object, end_time: object) -> None:
    """Times that are missing, unreadable or in the wrong order teach nothing about durations."""
    body = {"output": {"task_status": "SUCCEEDED", "submit_time": submit_time, "end_time": end_time}}
    state = dialect_for("dashscope").read_poll(body, task_id="t")
    assert state is not None
    assert state.duration_s is None
