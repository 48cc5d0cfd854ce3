"""Mount the panel in a bare page with the traits that a kernel would set, and read what it sends."""

import io
from collections.abc import Callable
from typing import Any

from PIL import Image

from tests.browser.page import Widget, WidgetPage
from wan_notebook.models import MODELS
from wan_notebook.panel import FIELDS, Panel, model_facts

HOSTILE = (
    "<img src=x onerror=\"document.title='owned'\">",
    "</script><script>document.title='owned'</script>",
    "\u202egnp.exe\u202c \u2066left\u2069",
    "狐" * 2000,
    "`code` \"quotes\" 'apostrophes' &amp; {braces}",
)
CHECK = {
    "label": "Generate · up to $0.12",
    "detail": "4 pictures",
    "terms": ["gateway", 4, "0.12", "USD"],
    "error": "",
    "is_ready": True,
    "problems": {},
    "hints": {"seed": "empty: a new one each time"},
    "preview": "",
    "images": [],
    "notes": [],
    "expected_size": "",
    "cell": "%%wan\na",
}
JOB = {
    "id": "a1",
    "state": "running",
    "icon": "◐",
    "word": "running",
    "tone": "#3d84d6",
    "label": "seed 5",
    "elapsed_s": 3.0,
    "ticking": True,
    "progress": None,
    "eta": "about 8–14 s more",
    "facts": ["up to $0.03"],
    "can_cancel": True,
    "lines": [],
    "prompt": "a fox",
}
ROW = {
    "id": "a1",
    "key": "a1/0",
    "when": "22 Nov 12:00",
    "prompt": "a fox",
    "status": "saved",
    "icon": "✓",
    "tone": "#2f9659",
    "mode": "edit",
    "size": "10×10",
    "seed": "5",
    "pictures": "1",
    "took": "3.0 s",
    "cost": "$0.03",
    "source": "reported",
    "tags": "study",
    "is_trashed": False,
    "is_settled": True,
}


def item(number: int, **other: Any) -> dict[str, Any]:
    """Return one picture of the gallery, a stack of its own unless it says otherwise."""
    return {
        "id": f"{number:04x}/0",
        "expression": f"{number:04x}[0]",
        "stack": f"s{number}",
        "seed": number,
        "is_starred": False,
        "is_rejected": False,
        "kind": "image",
        "label": f"fox {number}",
        "tags": [],
        "caption": f"seed {number}",
        "facts": [f"seed {number}"],
        **other,
    }


def gallery(*items: dict[str, Any], **more: Any) -> dict[str, Any]:
    """Return the gallery's trait."""
    return {"items": list(items), "total": len(items), "tags": [], **more}


def history(*rows: dict[str, Any], **more: Any) -> dict[str, Any]:
    """Return the history's trait."""
    page = {"rows": list(rows), "offset": 0, "limit": 25, "total_rows": len(rows), "totals": "1 job"}
    return {**page, "statuses": ["saved", "failed"], **more}


def rows(*jobs: dict[str, Any]) -> dict[str, Any]:
    """Return the trait of the jobs' rows."""
    return {"rows": list(jobs), "running": sum(job["ticking"] for job in jobs), "sent_at": 1e12}


def mount(
    widgets: WidgetPage, *, check: dict[str, Any] | None = None, form: dict[str, Any] | None = None, **traits: Any
) -> Widget:
    """Render a panel; traits that are not given are those of an empty folder."""
    models = {name: model_facts(record) for name, record in MODELS.items()}
    state = {
        "fixed": {"service": "simulator", "services": ["gateway"], "models": models},
        "values": form or {**FIELDS, "prompt": "a fox"},
        "check": {**CHECK, **(check or {})},
        "answered": 0,
        "choices": {"variables": []},
        "jobs": rows(),
        "gallery": gallery(),
        "history": history(),
        "notice": [],
    }
    return widgets.mount(Panel._esm, {**state, **traits}, css=Panel._css + "body { margin: 0; }")


def sent(widget: Widget, kind: str) -> list[dict[str, Any]]:
    """Return the messages of one kind."""
    return [message for message in widget.sent() if message["kind"] == kind]


def wait_sent(widgets: WidgetPage, widget: Widget, is_it: Callable[[dict[str, Any]], object], count: int = 1) -> None:
    """Wait until the page has sent so many messages."""
    for _ in range(600):
        if sum(bool(is_it(message)) for message in widget.sent()) >= count:
            return
        widgets.page.wait_for_timeout(20)
    raise AssertionError(f"not sent: {widget.sent()}")


def webp(colour: str = "teal", side: int = 32) -> bytes:
    """Return a small picture."""
    buffer = io.BytesIO()
    Image.new("RGB", (side, side), colour).save(buffer, "WEBP")
    return buffer.getvalue()


def is_safe(page: Any) -> bool:
    """Tell whether no text became anything else than text, or made the page wider."""
    return bool(
        page.title() == "widgets"
        and page.locator("img[src='x'], .wan-panel script").count() == 0
        and page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    )
