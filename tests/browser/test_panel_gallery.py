"""The panel's gallery, full view and history in a bare page: keys, several pictures at once, zoom, slider, files."""

from typing import Any

import pytest

from tests.browser.page import Widget, WidgetPage
from tests.browser.panel_page import JOB, ROW, gallery, history, item, mount, rows, sent, wait_sent, webp
from wan_notebook.panel import FIELDS


def shown(widgets: WidgetPage, *items: dict[str, Any], **traits: Any) -> Widget:
    """Mount a panel with these pictures."""
    return mount(widgets, gallery=gallery(*items), **traits)


def send_full(widget: Widget, key: str, colour: str = "red", side: int = 400) -> None:
    """Answer with a whole picture."""
    widget.receive({"kind": "full", "key": key, "mime": "image/webp"}, webp(colour, side))


def wanted(widget: Widget, size: str) -> list[str]:
    """Return the keys of the pictures that were asked for, ``thumb`` or ``full``."""
    return [key for message in sent(widget, "want") if message["size"] == size for key in message["keys"]]


def selected(page: Any) -> list[int]:
    """Return the numbers of the selected tiles."""
    numbers = page.locator(".wan-tile[aria-pressed=true]").evaluate_all("all => all.map(tile => tile.dataset.id)")
    return [int(number.split("/")[0], 16) for number in numbers]


# ------------------------------------------------------------------ the grid


def test_only_what_is_seen_is_asked_for(widgets: WidgetPage) -> None:
    """Of 500 pictures the first screens' copies are asked for, in few messages; scrolling asks for others, once."""
    widget = shown(widgets, *(item(k) for k in range(500)))
    wait_sent(widgets, widget, lambda m: m["kind"] == "want")
    assert 10 < len(set(wanted(widget, "thumb"))) < 150
    widgets.page.locator(".wan-grid").evaluate("grid => { grid.scrollTop = grid.scrollHeight; }")
    wait_sent(widgets, widget, lambda m: "01f3/0" in m.get("keys", ()))
    keys = wanted(widget, "thumb")
    assert len(keys) == len(set(keys)) < 400
    widget.receive({"kind": "thumb", "key": "0000/0"}, webp())
    widget.receive({"kind": "thumb", "key": "0001/0"}, b"")
    tiles = widgets.page.locator(".wan-tile")
    assert str(tiles.nth(0).locator("img").get_attribute("src")).startswith("blob:")
    assert tiles.nth(1).get_attribute("data-gone") is not None


def test_the_grid_is_walked_with_the_keyboard(widgets: WidgetPage) -> None:
    """One tab stop; arrows move and select, Enter opens, S stars, X rejects; a mark shows before the kernel answers."""
    widget = shown(widgets, *(item(k) for k in range(30)))
    page = widgets.page
    assert page.locator(".wan-tile[tabindex='0']").count() == 1
    page.locator(".wan-tile").first.focus()
    columns = page.locator(".wan-grid").evaluate("g => getComputedStyle(g).gridTemplateColumns.split(' ').length")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowDown")
    assert selected(page) == [1 + columns]
    page.keyboard.press("s")
    assert page.locator(".wan-tile-marks").nth(1 + columns).inner_text() == "★"
    page.keyboard.press("x")
    key = f"{1 + columns:04x}/0"
    marks = [{"to": "gallery", "kind": "mark", "what": what, "ids": [key], "on": True} for what in ("star", "reject")]
    assert sent(widget, "mark") == marks
    widget.set(notice=["The disk is full."])  # the kernel could not: the mark goes
    assert page.locator(".wan-tile-marks").nth(1 + columns).inner_text() == ""
    page.keyboard.press("Enter")
    assert page.locator("dialog[open]").count() == 1


def test_several_pictures_are_selected(widgets: WidgetPage) -> None:
    """A click selects one, Shift a range, Ctrl one more or less, Ctrl+A all, Esc none; keys do the same."""
    widget = shown(widgets, *(item(k) for k in range(6)))
    page, tiles = widgets.page, widgets.page.locator(".wan-tile")
    tiles.nth(1).click()
    tiles.nth(3).click(modifiers=["Shift"])
    tiles.nth(2).click(modifiers=["Control"])
    tiles.nth(5).click(modifiers=["Control"])
    assert selected(page) == [1, 3, 5]
    assert "3 pictures selected" in page.locator(".wan-inspector").inner_text()
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("Shift+ArrowLeft")
    assert selected(page) == [3, 4]
    page.keyboard.press("Control+a")
    page.keyboard.press("s")
    page.keyboard.press("Escape")
    assert selected(page) == []
    assert sent(widget, "mark")[-1]["ids"] == [f"{k:04x}/0" for k in range(6)]


def test_what_is_done_with_several_pictures(widgets: WidgetPage) -> None:
    """Star, tags, download and trash are one message for all of them; the full view compares one with the others."""
    widget = shown(widgets, item(1), item(2, tags=["old"]), item(3), item(4))
    page, bar = widgets.page, widgets.page.locator(".wan-inspector")
    page.locator(".wan-tile").nth(0).click()
    page.locator(".wan-tile").nth(2).click(modifiers=["Shift"])
    assert bar.get_by_text("More ▾").is_hidden()  # it has nothing for several
    bar.get_by_text("☆ Star").click()
    bar.get_by_text("Tag…").click()
    bar.get_by_label("Tag to add").fill("two words")
    bar.get_by_label("Tag to add").press("Enter")
    bar.get_by_role("button", name="Remove the tag old").click()
    bar.get_by_text("Download").click()
    bar.get_by_text("Trash").click()
    ids = ["0001/0", "0002/0", "0003/0"]
    marks = [(m["what"], m["ids"] == ids, m["on"], m.get("tag", "")) for m in sent(widget, "mark")]
    tags = [("tag", True, True, "two words"), ("tag", True, False, "old")]
    assert marks == [("star", True, True, ""), *tags, ("trash", True, True, "")]
    assert [m["ids"] for m in sent(widget, "download")] == [ids]
    with page.expect_download() as download:
        widget.receive({"kind": "save", "name": "pictures.zip"}, b"zip")
    assert download.value.suggested_filename == "pictures.zip"
    bar.get_by_text("Compare").click()
    send_full(widget, "0001/0", "red")
    send_full(widget, "0002/0", "blue")
    page.locator(".wan-slider").wait_for()
    assert page.locator(".wan-slider .wan-badge").all_inner_texts() == ["seed 2", "seed 1"]
    assert page.locator(".wan-light .wan-choice").all_inner_texts() == ["seed 2", "seed 3"]


def test_seeds_stack_and_open(widgets: WidgetPage) -> None:
    """A stack is one tile with its number, opens in place by click or key, and stacking can be switched off."""
    shown(widgets, item(1, stack="a"), item(2, stack="a"), item(3, stack="a"), item(4))
    page, tiles = widgets.page, widgets.page.locator(".wan-tile")
    stack = page.locator(".wan-tile-stack:visible")
    assert (tiles.count(), stack.get_attribute("aria-label")) == (2, "3 pictures that differ only in their seed")
    stack.press("Enter")
    assert (tiles.count(), stack.get_attribute("aria-expanded")) == (4, "true")
    stack.click()
    assert tiles.count() == 2
    page.get_by_text("Stack seeds").click()
    assert (tiles.count(), stack.count()) == (4, 0)


def test_filters_are_sent_together_after_a_pause(widgets: WidgetPage) -> None:
    """Typing asks once; every filter is in the question; an empty answer says why."""
    widget = mount(widgets, gallery=gallery(item(1), tags=["study"]))
    page, filters = widgets.page, widgets.page.locator(".wan-gallery .wan-filters")
    filters.locator(".wan-filter-words").press_sequentially("fox", delay=10)
    wait_sent(widgets, widget, lambda m: m["kind"] == "filter")
    filters.get_by_label("Tag", exact=True).select_option("study")
    filters.get_by_text("Starred only").click()
    filters.get_by_text("Show rejected").click()
    asked = sent(widget, "filter")
    assert [message["words"] for message in asked] == ["fox"] * 4
    wanted = {"words": "fox", "tag": "study", "starred": True, "rejected": True}
    assert asked[-1] == {"to": "gallery", "kind": "filter", **wanted}
    widget.set(gallery=gallery())
    assert "No picture matches" in page.evaluate(
        "getComputedStyle(document.querySelector('.wan-grid'), '::before').content"
    )


def test_a_pictures_buttons_fill_the_form(widgets: WidgetPage) -> None:
    """What the page can it does at once; what made a picture the kernel fills in."""
    form = {**FIELDS, "prompt": "now", "images": ["photo"], "seed": "7"}
    widget = shown(widgets, item(1), form=form)
    widgets.page.locator(".wan-tile").click()
    buttons = widgets.page.locator(".wan-inspector")
    buttons.get_by_text("More ▾").click()
    for button, changed in (
        ("Use as input", {"images": ["photo", "0001[0]"]}),
        ("Edit this", {"images": ["0001[0]"], "prompt": "", "seed": ""}),
        ("Use its seed", {"seed": "1"}),
    ):
        widget.set(values=form)
        buttons.get_by_text(button, exact=True).click()
        assert widget.get("values") == {**form, **changed}
        assert widget.saved()
    buttons.get_by_text("Recall", exact=True).click()
    buttons.get_by_text("New seed", exact=True).click()
    assert [(m["id"], m["new_seed"]) for m in sent(widget, "recall")] == [("0001/0", False), ("0001/0", True)]


@pytest.mark.parametrize("width", [420, 520, 640, 900])
def test_nothing_is_cut_off_or_jumps(widgets: WidgetPage, width: int) -> None:
    """At every width the grid stays in its place when pictures arrive, and costs, seeds and buttons are in sight."""
    widgets.page.set_viewport_size({"width": width, "height": 900})
    job = {**JOB, "facts": ["seed 2147483647", "up to $0.03"]}
    long = history({**ROW, "prompt": "fox " * 60, "tags": "study, a long one", "seed": "2147483647"})
    widget, page = mount(widgets, jobs=rows(job), history=long), widgets.page

    def is_seen(inner: Any, outer: str) -> bool:
        cost, box = inner.bounding_box(), page.locator(outer).bounding_box()
        return bool(box["x"] <= cost["x"] and cost["x"] + cost["width"] <= box["x"] + box["width"])

    assert is_seen(page.get_by_text("up to $0.03", exact=True), ".wan-jobrow")
    top = page.locator(".wan-grid").bounding_box()["y"]
    widget.set(gallery=gallery(*(item(k, stack=f"s{k // 2}") for k in range(40)), total=1200))
    assert "newest 40 in 20 stacks" in page.locator(".wan-filter-count").inner_text()
    assert page.locator(".wan-grid").bounding_box()["y"] == top
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    page.get_by_role("tab", name="History").click()
    for column in ("cost", "acts", "seed")[: 2 if width == 420 else 3]:  # for the seed a phone has no room
        assert is_seen(page.locator(f"td.wan-col-{column}"), ".wan-history-scroll")


# ------------------------------------------------------------------ the full view


def test_the_full_view_shows_the_copy_then_the_whole_picture(widgets: WidgetPage) -> None:
    """The file is asked for once, on demand; Escape gives the focus back; a narrow window cuts nothing off."""
    widgets.page.set_viewport_size({"width": 420, "height": 700})
    widget = shown(widgets, item(1, facts=["fact " * 40]), item(2))
    widget.receive({"kind": "thumb", "key": "0001/0"}, webp("teal"))
    page, image = widgets.page, widgets.page.locator(".wan-stage-image")
    assert wanted(widget, "full") == []
    page.locator(".wan-tile").first.dblclick()
    assert image.evaluate("i => i.decode().then(() => i.naturalWidth)") == 32
    send_full(widget, "0001/0")
    assert image.evaluate("i => i.decode().then(() => i.naturalWidth)") == 400
    assert page.locator("dialog").evaluate("d => d.scrollWidth <= d.clientWidth")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowLeft")
    assert wanted(widget, "full") == ["0001/0", "0002/0"]
    page.keyboard.press("Escape")
    assert page.evaluate("document.activeElement.dataset.id") == "0001/0"


def test_zoom_goes_to_true_pixels(widgets: WidgetPage) -> None:
    """At 100 % a pixel of the file is one of the screen; the wheel zooms, and a key shows all of it again."""
    widget = shown(widgets, item(1))
    page, image = widgets.page, widgets.page.locator(".wan-stage-image")
    page.locator(".wan-tile").first.dblclick()
    send_full(widget, "0001/0")
    image.evaluate("i => i.decode()")
    page.keyboard.press("1")
    assert image.bounding_box()["width"] == pytest.approx(400)
    image.hover()
    page.mouse.wheel(0, -60)
    page.wait_for_function("parseInt(document.querySelector('.wan-light-zoom').textContent) > 100")
    page.keyboard.press("0")
    assert page.locator(".wan-stage[data-zoomed]").count() == 0


def test_a_file_that_is_gone_leaves_no_tab_that_waits(widgets: WidgetPage) -> None:
    """The tab opens with the click, what the kernel answers comes later; the tab has no way back into the notebook."""
    widget = shown(widgets, item(1))
    paths = {"prompt": "a fox", "negative": "", "cell": "%%wan", "inputs": [], "paths": ["/home/ann/fox.png"]}
    widget.receive({"kind": "details", "id": "0001/0", **paths})
    widgets.page.locator(".wan-tile").click()
    widgets.page.locator(".wan-inspector").get_by_text("More ▾").click()
    with widgets.context.expect_page() as opened:
        widgets.page.locator(".wan-inspector").get_by_text("Open file").click()
    tab = opened.value
    assert "kernel" in tab.locator("body").inner_text()
    assert tab.evaluate("window.opener") is None
    widget.receive({"kind": "full", "key": "0001/0", "mime": "image/png"}, b"")
    tab.get_by_text("The file is missing.").wait_for()


# ------------------------------------------------------------------ the history


def test_columns_sort_and_pages_turn_in_the_kernel(widgets: WidgetPage) -> None:
    """A header says how it sorts, a second click turns it round; pages are asked for by offset."""
    many = history(*({**ROW, "id": f"j{k}", "key": ""} for k in range(25)), total_rows=60)
    widget, page = mount(widgets, history=many), widgets.page
    page.get_by_role("tab", name="History").click()
    assert page.locator("th[aria-sort=descending]").inner_text() == "When ▾"
    assert page.locator(".wan-history-foot span").inner_text() == "1–25 of 60"
    assert page.get_by_role("button", name="‹ Newer").get_attribute("aria-disabled") == "true"
    page.get_by_role("button", name="Cost").click()
    widget.set(history={**many, "totals": "60 jobs"})
    page.get_by_role("button", name="Cost").click()
    page.get_by_text("Include trash").click()
    page.get_by_role("button", name="Older ›").click()
    # An answer may be what is shown already, and then nothing comes: the table does not wait for it.
    assert page.locator(".wan-history tbody").evaluate("body => getComputedStyle(body).opacity") == "1"
    asked = [(m["sort"], m["descending"], m["include_trashed"], m["offset"]) for m in sent(widget, "query")]
    turned = [("cost", False, is_trash, offset) for is_trash, offset in ((False, 0), (True, 0), (True, 25))]
    assert asked == [("cost", True, False, 0), *turned]


def test_a_rows_buttons(widgets: WidgetPage) -> None:
    """Recall, Trash and Restore are messages with the job's id; what runs is not thrown away."""
    others = ({**ROW, "id": "b2", "is_trashed": True}, {**ROW, "id": "c3", "is_settled": False})
    widget, page = mount(widgets, history=history(ROW, *others)), widgets.page
    page.get_by_role("tab", name="History").click()
    for name in ("Put into the trash: job c3", "Put into the trash: job a1", "Take out of the trash: job b2"):
        page.get_by_role("button", name=name).click(force=True)
    assert [(m["job"], m["on"]) for m in sent(widget, "trash")] == [("a1", True), ("b2", False)]
    page.get_by_role("button", name="Recall job a1").click()
    assert sent(widget, "recall") == [{"to": "history", "kind": "recall", "job": "a1"}]
    assert page.locator(".wan-f-prompt textarea").is_visible()  # the form, with what comes


def test_a_batch_opens_and_closes(widgets: WidgetPage) -> None:
    """Its line has one button, which asks for its jobs; the way back is in sight."""
    line = {**ROW, "prompt": "zoo: 24 rows, 22 saved, 2 failed", "batch": "zoo", "status": "batch"}
    widget, page = mount(widgets, history=history(line, {**ROW, "id": "b2"})), widgets.page
    page.get_by_role("tab", name="History").click()
    back = page.locator(".wan-history").get_by_role("button", name="Back to all jobs")
    assert back.is_hidden()
    assert page.locator("tr[data-job=a1]").get_by_role("button").count() == 1
    page.get_by_role("button", name="Open batch zoo").press("Enter")
    widget.set(history=history(ROW, batch="zoo"))
    assert back.inner_text() == "‹ All jobs · batch zoo"
    back.click()
    assert [message["batch"] for message in sent(widget, "query")] == ["zoo", ""]
