"""The documented examples of tests/data/wire: the simulator accepts these requests and speaks these replies.

In each example, `simulator` says how the reply comes about: `reply_form`, a directive for the `prompt`, `n` pictures to
edit (otherwise text to image), `elapsed_s` from the submit to the poll (without it: the reply to the submit itself).
`has_own_words` marks examples whose error codes or status words are not those that the simulator uses.
"""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.unit.simulator.conftest import SUBMIT, Caller, data_url, request_of

FOLDER = Path(__file__).parents[2] / "data" / "wire"
EXAMPLES = {path.stem: json.loads(path.read_text("utf-8")) for path in sorted(FOLDER.glob("*.json"))}
WORDS = {"status", "task_status", "code", "type", "message", "finish_reason", "error_message", "error_type", "role"}


def same_shape(documented: Any, spoken: Any, where: str, *, is_literal: bool) -> None:
    """Check that all that is documented is spoken: fields, types, and the words of a protocol."""
    assert type(spoken) is type(documented), where
    if isinstance(documented, dict):
        assert documented.keys() <= spoken.keys(), where
        for name, value in documented.items():
            if is_literal and name in WORDS and isinstance(value, str):
                assert spoken[name] == value, f"{where}.{name}"
            same_shape(value, spoken[name], f"{where}.{name}", is_literal=is_literal)
    if isinstance(documented, list):
        assert len(spoken) == len(documented), where
        for index, (one, other) in enumerate(zip(documented, spoken, strict=True)):
            same_shape(one, other, f"{where}[{index}]", is_literal=is_literal)


@pytest.mark.parametrize("name", [name for name, example in EXAMPLES.items() if "simulator" in example])
def test_replies_are_spoken_as_documented(name: str) -> None:
    """Each documented reply can be had from the simulator, by its reply form and a directive of the prompt."""
    provider, how = EXAMPLES[name]["dialect"], EXAMPLES[name]["simulator"]
    caller = Caller(reply_form=how.get("reply_form", "documented"))
    options = {"images": ["https://example.com/a.jpg"], "n": how["n"]} if "n" in how else {"max_images": 1}
    reply = caller.submit(provider, request_of(provider, f"a fox {how.get('prompt', '')}", **options))
    if "elapsed_s" in how:
        caller.clock.now += how["elapsed_s"]
        reply = caller.poll(provider, next(iter(caller.simulator.tasks)))
    same_shape(EXAMPLES[name]["body"], reply.json(), name, is_literal="has_own_words" not in how)


@pytest.mark.parametrize("name", [name for name, example in EXAMPLES.items() if example["kind"] == "request"])
def test_documented_requests_are_accepted(name: str) -> None:
    """Flat and wrapped requests start a task; their sample pictures are too short to be real."""
    body = json.dumps(EXAMPLES[name]["body"])
    for data in ("data:image/jpeg;base64,GDU7", "data:image/png;base64,iVBO"):
        body = body.replace(data, data_url(kind="JPEG"))
    caller = Caller()
    headers = {"X-DashScope-Async": "enable", "Content-Type": "application/json"}
    reply = caller.request("POST", SUBMIT[EXAMPLES[name]["dialect"]], content=body, headers=headers)
    assert reply.status_code == 200
    assert caller.simulator.tasks_created == 1


def test_lists_and_interleaved_results_are_spoken_as_documented() -> None:
    """The examples that need more than one task or a certain number of pictures."""
    caller = Caller()
    for _ in range(2):
        caller.made("dashscope")
        caller.clock.now += 5
    listed = caller.request("GET", "/api/v1/tasks").json()
    documented = EXAMPLES["dashscope_list"]["body"]
    assert [row["status"] for row in listed["data"]] == ["RUNNING", "SUCCEEDED"]
    same_shape(documented, listed, "list", is_literal=True)
    urls = caller.urls("dashscope", max_images=2)
    (choice,) = caller.poll("dashscope", list(caller.simulator.tasks)[-1]).json()["output"]["choices"]
    assert [item["type"] for item in choice["message"]["content"]] == ["text", "image", "text", "image"]
    assert len(urls) == 2
    assert caller.poll("dashscope", "none").json()["output"] == {"task_id": "none", "task_status": "UNKNOWN"}
