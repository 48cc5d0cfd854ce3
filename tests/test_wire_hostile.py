"""The readers against anything at all: they never raise, and what they return can be stored and shown."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from wan_notebook.wire import Phase, ServiceFault, Submitted, TaskState, dialect_for

DIALECTS = [dialect_for("gateway"), dialect_for("dashscope")]

NAMES = st.sampled_from(
    [
        "id",
        "status",
        "task_id",
        "task_status",
        "output",
        "choices",
        "message",
        "content",
        "type",
        "url",
        "image",
        "video",
        "text",
        "jobId",
        "error",
        "code",
        "usage",
        "cost",
        "progress",
        "created_at",
        "metadata",
        "results",
        "data",
        "tasks",
        "total",
        "total_page",
        "submit_time",
        "end_time",
        "gmt_create",
        "request_id",
    ]
)
TEXTS = st.text(st.characters(exclude_categories=()), max_size=20) | st.sampled_from(
    ["completed", "SUCCEEDED", "failed", "image", "https://h/1.png", "2026-01-09 17:52:04.136", "1e999"]
)
SCALARS = st.none() | st.booleans() | st.integers() | st.just(10**400) | st.floats() | TEXTS
JSON = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES | TEXTS, inner, max_size=6),
    max_leaves=25,
)
BODIES = JSON | st.dictionaries(NAMES, JSON, max_size=8)


def check_state(state: TaskState) -> None:
    """A state can be written to a database and to a notebook, and says what to download only if there is something."""
    assert isinstance(state.phase, Phase)
    texts = [state.task_id, state.raw_status, state.error_code, state.error_message, state.request_id, state.model]
    texts += [part for output in state.outputs for part in (output.url, output.text, output.remote_id)]
    for text in texts:
        text.encode()
    json.dumps([state.usage, state.metadata], allow_nan=False, ensure_ascii=False).encode()
    assert state.progress is None or 0 <= state.progress <= 1
    assert state.duration_s is None or state.duration_s >= 0
    assert state.cost_usd is None or len(f"{state.cost_usd:f}") < 40
    assert all(output.url for output in state.files)


@given(body=BODIES)
def test_any_json_is_read_as_a_poll_without_an_exception(body: Any) -> None:
    """A hostile or broken reply must never crash the poller that all other jobs share."""
    for dialect in DIALECTS:
        state = dialect.read_poll(body, task_id="t")
        if state is not None:
            assert state.task_id == "t"
            check_state(state)


@given(body=BODIES)
def test_any_json_is_read_as_a_submit_without_an_exception(body: Any) -> None:
    """Whatever comes back after money was spent is accepted, refused, or not understood: never a crash."""
    for dialect in DIALECTS:
        found = dialect.read_submit(body)
        if isinstance(found, Submitted):
            assert found.task_id
            found.task_id.encode()
        elif isinstance(found, ServiceFault):
            (found.code + found.message + found.request_id).encode()


@given(body=BODIES)
def test_any_json_is_read_as_a_list_without_an_exception(body: Any) -> None:
    """The list decides what happened to a lost submit: each task in it has an id and can be stored."""
    for dialect in DIALECTS:
        page = dialect.read_list(body)
        for task in page.tasks:
            assert task.task_id
            check_state(task)


@given(body=BODIES, status=st.integers(100, 599))
def test_any_json_is_read_as_an_error_of_one_short_line(body: Any, status: int) -> None:
    """A service's words are shown to people: one line, not endless, no control characters."""
    for dialect in DIALECTS:
        fault = dialect.read_error(body, status)
        for words in (fault.code, fault.message, fault.request_id):
            words.encode()
            assert len(words) <= 500
            assert not any(character in words for character in "\r\n\x1b\x00\u202e")


@given(partial=st.binary(max_size=200) | st.binary(max_size=20).map(lambda tail: b'{"id": "task-1"' + tail))
def test_any_bytes_are_searched_for_a_task_id_without_an_exception(partial: bytes) -> None:
    """A reply cut anywhere is searched; what is found is a plain id."""
    for dialect in DIALECTS:
        found = dialect.salvage_task_id(partial)
        assert found.isascii()
        assert not set(found) & set("/?#% ")
