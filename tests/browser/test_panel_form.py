"""The panel's form and rows in a bare page: what shows at once, what is sent, what a restart leaves."""

from typing import Any

import pytest

from tests.browser.page import WidgetPage
from tests.browser.panel_page import (
    CHECK,
    HOSTILE,
    JOB,
    ROW,
    gallery,
    history,
    is_safe,
    item,
    mount,
    rows,
    sent,
    wait_sent,
)
from wan_notebook.panel import FIELDS

PASTE = """([type, name, text]) => {
  const data = new DataTransfer();
  if (name) data.items.add(new File(['x'], name, { type: 'image/png' }));
  else data.setData('text/plain', text);
  const options = { bubbles: true, cancelable: true, dataTransfer: data, clipboardData: data };
  const event = type === 'drop' ? new DragEvent('drop', options) : new ClipboardEvent('paste', options);
  document.querySelector('.wan-f-prompt textarea').dispatchEvent(event);
  return event.defaultPrevented;
}"""


def chosen(*names: str) -> dict[str, Any]:
    """Return traits of a form with these pictures."""
    facts = [{"label": name, "key": f"k:{name}"} for name in names]
    return {"form": {**FIELDS, "prompt": "x", "images": names}, "check": {"images": facts}}


def test_a_click_shows_at_once_and_counts_once(widgets: WidgetPage) -> None:
    """It carries the terms that were seen and what was typed last; until the answer there is no second one."""
    widget = mount(widgets)
    widgets.page.locator(".wan-f-prompt textarea").fill("a lynx")
    button = widgets.page.locator(".wan-run-button")
    button.click()
    assert button.inner_text() == "Queued…"
    button.click(force=True)
    widgets.page.locator(".wan-f-seed input").press("Control+Enter")
    (message,) = sent(widget, "generate")
    assert (message["to"], message["click"], message["terms"]) == ("form", 1, CHECK["terms"])
    assert message["values"]["prompt"] == "a lynx"
    widget.set(answered=1)
    assert button.inner_text() == CHECK["label"]
    widgets.page.locator(".wan-f-prompt textarea").press("Control+Enter")
    assert [message["click"] for message in sent(widget, "generate")] == [1, 2]


def test_a_form_with_problems_cannot_be_sent(widgets: WidgetPage) -> None:
    """The problem is tied to its field; the button keeps its place in the focus order, and sends nothing."""
    widget = mount(widgets, check={"is_ready": False, "problems": {"prompt": ["Too long."]}})
    page = widgets.page
    area, button = page.locator(".wan-f-prompt textarea"), page.locator(".wan-run-button")
    assert page.locator(f"#{area.get_attribute('aria-describedby')}").inner_text() == "Too long."
    assert area.get_attribute("aria-invalid") == "true"
    assert button.get_attribute("aria-disabled") == "true"
    button.click(force=True)
    area.press("Control+Enter")
    assert sent(widget, "generate") == []
    widget.set(check={**CHECK, "is_ready": False, "hints": {"prompt": "Describe it."}})
    assert area.get_attribute("aria-invalid") == "false"  # a calm hint
    area.fill("狐🦊" * 1001)  # counted by code points, without the kernel
    count = page.locator(".wan-f-prompt .wan-count")
    assert (count.inner_text(), count.get_attribute("data-over") is not None) == ("2,002 / 2,000", True)
    widget.set(notice=["No budget.", "→ `%wan budget off`"])
    assert page.locator(".wan-go [role=alert] code").inner_text() == "%wan budget off"


def test_chips_are_moved_and_removed(widgets: WidgetPage) -> None:
    """Buttons do what dragging does; the numbers follow, and the focus stays where the person works."""
    widget = mount(widgets, **chosen("a", "b", "c"))
    page, chips = widgets.page, widgets.page.locator(".wan-chip")
    chips.nth(2).locator(".wan-chip-earlier").press("Enter")
    assert widget.get("values")["images"] == ["a", "c", "b"]
    assert page.evaluate("document.activeElement.closest('li') === document.querySelectorAll('.wan-chip')[1]")
    chips.nth(0).drag_to(chips.nth(2))
    assert widget.get("values")["images"] == ["c", "b", "a"]
    page.locator(".wan-chip-remove").nth(1).press("Enter")
    assert widget.saved()[-1]["values"]["images"] == ["c", "a"]
    assert page.locator(".wan-chip .wan-badge").all_inner_texts() == ["image 1", "image 2"]


def test_pictures_are_chosen_from_the_strip(widgets: WidgetPage) -> None:
    """A row of switches with one tab stop; arrows move in it."""
    variables = [{"id": name, "label": name, "key": f"k:{name}"} for name in ("photo", "ref")]
    widget = mount(widgets, choices={"variables": variables})
    page, images = widgets.page, lambda: widget.get("values")["images"]
    page.locator(".wan-choice").nth(0).click()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    assert images() == ["photo", "ref"]
    page.keyboard.press("Enter")
    assert images() == ["photo"]
    page.locator(".wan-place").fill("cat.png")
    page.locator(".wan-place").press("Enter")
    assert sent(widget, "place") == [{"to": "picker", "kind": "place", "text": "cat.png"}]


def test_files_are_sent_in_pieces(widgets: WidgetPage) -> None:
    """By dialog, drop and paste alike; text that is pasted stays in its field."""
    widget = mount(widgets)
    files = [{"name": "big.png", "mimeType": "image/png", "buffer": b"x" * 4_500_000}]
    widgets.page.locator("input[type=file]").set_input_files(files)
    wait_sent(widgets, widget, lambda m: m["kind"] == "upload", 3)
    for event in ("drop", "paste"):
        assert widgets.page.evaluate(PASTE, [event, "one.png", ""])
    wait_sent(widgets, widget, lambda m: m["kind"] == "upload", 5)
    pieces = [(m["part"], m["parts"], m["how"]) for m in sent(widget, "upload")]
    assert pieces == [*((k, 3, "chosen") for k in range(3)), (0, 1, "dropped"), (0, 1, "pasted")]
    assert not widgets.page.evaluate(PASTE, ["paste", "", "a fox"])


def test_sizes_are_one_radio_group(widgets: WidgetPage) -> None:
    """One tab stop, arrows choose, what a mode does not have cannot be chosen, free sizes have two numbers."""
    widget = mount(widgets)
    page, size = widgets.page, lambda: widget.get("values")["size"]
    assert page.locator("[role=radio][tabindex='0']").count() == 1
    page.locator("[data-value='1:1']").click()
    page.keyboard.press("ArrowRight")
    page.locator("[data-value='2K']").click(force=True)
    assert size() == "2:3"
    page.locator("[data-value=free]").click()
    for number, text in enumerate(("1000", "800")):
        page.locator(".wan-size-free input").nth(number).fill(text)
    assert size() == "1000x800"
    widget.set(values={**widget.get("values"), "size": "16:9"})
    assert page.locator(".wan-size [aria-checked=true]").get_attribute("data-value") == "16:9"


def test_seed_buttons(widgets: WidgetPage) -> None:
    """New empties the field, the others take the seed of the newest or the selected picture."""
    widget = mount(widgets, gallery=gallery(item(7), item(5)))
    widgets.page.locator(".wan-tile").nth(1).click()
    for name, seed in (("Newest", "7"), ("Selected", "5"), ("New", "")):
        widgets.page.locator(".wan-f-seed").get_by_role("button", name=name, exact=True).click()
        assert widget.get("values")["seed"] == seed


def test_a_row_counts_and_is_cancelled_before_the_kernel_answers(widgets: WidgetPage) -> None:
    """Seconds go on without a message; a wish shows at once, is sent once, and follows the kernel afterwards."""
    second = {**JOB, "id": "b2"}
    widget = mount(widgets, jobs=rows(JOB, second))
    page, row = widgets.page, widgets.page.locator(".wan-jobrow").first
    assert page.locator(".wan-run-detail").inner_text() == "4 pictures · 2 jobs running"  # else ordered again
    page.wait_for_function("document.querySelector('.wan-jobrow-time').textContent > '3.4 s'")
    row.get_by_text("Cancel").click()
    assert "cancel requested" in row.inner_text()
    assert sent(widget, "cancel") == [{"to": "jobs", "kind": "cancel", "job": "a1"}]
    over = {**JOB, "word": "cancelled", "ticking": False, "can_cancel": False, "elapsed_s": 4.2}
    widget.set(jobs=rows(over, second))
    assert (row.locator("b").inner_text(), row.locator(".wan-jobrow-time").inner_text()) == ("cancelled", "4.2 s")
    row.get_by_role("button", name="Remove").click()
    assert row.is_hidden()
    assert sent(widget, "dismiss")[0]["job"] == "a1"


def test_a_silent_kernel_is_told_in_its_row(widgets: WidgetPage) -> None:
    """A row that hears nothing stands still and names what helps; the first word ends that."""
    widget = mount(widgets, jobs=rows(JOB))
    widgets.later(25)
    row = widgets.page.locator(".wan-jobrow")
    row.get_by_text("%wan show a1").wait_for()
    assert row.get_by_text("Cancel").is_hidden()
    stands = row.locator(".wan-jobrow-time").inner_text()
    widgets.page.wait_for_timeout(450)
    assert row.locator(".wan-jobrow-time").inner_text() == stands
    widget.set(jobs=rows({**JOB, "elapsed_s": 30.0}))
    assert "kernel" not in row.inner_text()


@pytest.mark.parametrize("text", HOSTILE)
def test_any_text_is_shown_as_text(widgets: WidgetPage, text: str) -> None:
    """Wherever a text from outside can stand, it cannot become markup, and does not spill out of the panel."""
    named = [{"id": text, "label": text, "key": ""}]
    problems = {name: [text] for name in ("prompt", "images", "size", "seed")}
    check = {"problems": problems, "preview": text, "cell": text, "notes": [text], "error": text, "detail": text}
    widget = mount(
        widgets,
        form={**FIELDS, "prompt": text, "images": (text,)},
        check={**check, "images": [{"label": text}]},
        choices={"variables": named},
        jobs=rows({**JOB, "prompt": text, "lines": [text, text], "facts": [text], "label": text, "ticking": False}),
        gallery=gallery(item(1, label=text, facts=[text], caption=text, tags=[text]), tags=[text]),
        history=history({**ROW, "prompt": text, "tags": text, "mode": text, "cost": text}, totals=text),
        notice=[text],
    )
    details = {"prompt": text, "negative": text, "cell": text, "paths": [text]}
    widgets.page.locator(".wan-tile").first.dblclick()
    widget.receive({"kind": "details", "id": "0001/0", **details, "inputs": [{"id": "0001/0/0", "label": text}]})
    assert text in (widgets.page.locator(".wan-light-prompt").text_content() or "")
    assert is_safe(widgets.page)
    widgets.page.keyboard.press("Escape")
    widgets.page.get_by_role("tab", name="History").click()
    assert is_safe(widgets.page)


def test_a_removed_panel_leaves_nothing_behind(widgets: WidgetPage) -> None:
    """Listeners go with the view, those on the window too."""
    widget = mount(widgets, jobs=rows(JOB), gallery=gallery(item(1)), history=history(ROW))
    widget.dispose()
    assert widget.listeners() == 0
    on_body = PASTE.replace("document.querySelector('.wan-f-prompt textarea')", "document.body")
    assert not widgets.page.evaluate(on_body, ["drop", "a.png", ""])


def test_a_model_enables_what_it_has(widgets: WidgetPage) -> None:
    """Sizes, modes and limits are those of the chosen model; what it never has is not there."""
    widget = mount(widgets)
    page, box = widgets.page, widgets.page.locator(".wan-f-model select")
    shown = page.locator(".wan-checks label:visible").all_inner_texts
    assert shown() == ["Illustrated text", "Rewrite prompt", "Watermark"]
    assert page.locator("[data-value='4K']").count() == 0
    box.select_option("wan2.7-image-pro")
    assert widget.get("values")["model"] == "wan2.7-image-pro"
    assert shown() == ["Picture set", "Thinking", "Watermark"]
    assert page.locator("[data-value='16:9']").get_attribute("aria-label") == "16:9, 2688×1536 pixels"
    assert page.locator(".wan-f-prompt .wan-count").inner_text() == "5 / 5,000"
    assert page.locator(".wan-f-negative_prompt").is_hidden()
    page.locator("[data-value='4K']").click()
    assert widget.get("values")["size"] == "4K"
    page.get_by_label("Picture set").check()
    assert page.get_by_label("Thinking").is_disabled()
    assert page.locator("[data-value='4K']").get_attribute("aria-label") == "4K, in text to image only"
    box.select_option("wan2.6-image")
    assert shown() == ["Illustrated text", "Rewrite prompt", "Watermark"]
    assert page.locator(".wan-f-negative_prompt").is_visible()
