"""The forms in which the services are known to word a reply (WAN_API §2 and §3), each under a name.

`gateway.py` and `dashscope.py` write the form that the model's own page documents; the functions here reword it.
"""

from collections.abc import Mapping, Set
from typing import Any

Document = dict[str, Any]

REPLY_FORMS: Mapping[str, str] = {
    "documented": "as the page of the model documents it",
    "wrapped": 'gateway: {"data": {…}, "status": {"code": 200, "message": "ok"}}',
    "errors_200": "gateway: errors with HTTP status 200",
    "other_words": "gateway: other words for completed (done, SUCCEED, …), pending (in_queue, …) and running",
    "unknown_status": "gateway: statuses that no page documents, beside pictures, errors and neither",
    "outputs": "gateway: pictures in `outputs` in place of `output`",
    "both_outputs": "gateway: pictures in `output` and `outputs`",
    "completed_at_once": "gateway: the reply to a submit says that the task is completed",
    "completed_with_error": 'gateway: a failed task has the status "COMPLETED", an error and no picture',
    "error_text": "gateway: the error is a plain text",
    "error_message": "gateway: the message of an HTTP error stands at top level",
    "error_number": 'gateway: the error is {"code": 1301, "error_message": …}',
    "provider_error": "gateway: the cause stands in `provider_error`, beside `error_type` and an error text",
    "results": "DashScope: pictures in `results` with `task_metrics`, in place of `choices`",
}
"""Names that `SimulatorConfig.reply_form` takes, with what they change; several can be joined by `+`."""

_COMPLETED_WORDS = ("success", "done", "SUCCEED", "Finished")
_PENDING_WORDS = ("in_queue", "QUEUED", "submitted", "waiting")
_UNKNOWN_WORDS = {"completed": "ready", "failed": "rejected", "in_progress": "under_review"}


def reword_task(task: Document, forms: Set[str], *, is_pending: bool, size: tuple[int, int]) -> Document:
    """Reword the gateway's reply to a submit or a poll; `size` is the width and height of its pictures in pixels."""
    document, status = dict(task), task["status"]
    choice = sum(task["id"].encode()) % 4  # each task keeps its words
    if "other_words" in forms:
        running = _PENDING_WORDS[choice] if is_pending else "processing"
        document["status"] = {"in_progress": running, "completed": _COMPLETED_WORDS[choice]}.get(status, status)
    if "unknown_status" in forms:
        document["status"] = _UNKNOWN_WORDS[status]
    if "completed_with_error" in forms and status == "failed":
        document["status"] = "COMPLETED"
    if "output" in document and forms & {"outputs", "both_outputs"}:
        items = [item for group in document["output"] for item in group["content"]]
        sides = {"width": size[0], "height": size[1]}
        pictures = [{"type": "image", "url": item["url"], **sides} if "url" in item else item for item in items]
        document["outputs"] = pictures
    if "outputs" in forms:
        document.pop("output", None)
    return reword_error(document, forms)


def reword_error(document: Document, forms: Set[str]) -> Document:
    """Reword the `error` of a failed task, or of the body of an HTTP error."""
    error = document.get("error", {})
    if not error:
        return document
    if "error_message" in forms and "id" not in document:
        return {"message": error["message"]}
    if "error_text" in forms:
        return {**document, "error": error["message"]}
    if "error_number" in forms:
        return {**document, "error": {"code": 1301, "error_message": error["message"]}}
    if "provider_error" in forms:
        return {**document, "error": "Generation failed", "error_type": "provider_error", "provider_error": error}
    return document


def reword_output(output: Document, forms: Set[str], reason: str) -> Document:
    """Reword the `output` of a task that DashScope reports as SUCCEEDED; `reason` is why a picture is withheld."""
    if "results" not in forms:
        return output
    results: list[Document] = []
    for choice in output["choices"]:
        if "code" in choice:
            results.append({"code": choice["code"], "message": reason})
        results += [{"url": item["image"]} for item in choice["message"]["content"] if "image" in item]
    failed = sum("code" in result for result in results)
    metrics = {"TOTAL": len(results), "SUCCEEDED": len(results) - failed, "FAILED": failed}
    kept = {name: value for name, value in output.items() if name != "choices"}
    return {**kept, "results": results, "task_metrics": metrics}
