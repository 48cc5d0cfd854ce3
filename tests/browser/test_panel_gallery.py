"""The gallery and the history in a bare page: keys, stacks, the full view, the table; any text stays text."""

import io
from typing import Any

import pytest
from PIL import Image
from wan_notebook.views.gallery_widget import Gallery
from wan_notebook.views.history_widget import HistoryTable

from tests.browser.page import Widget, WidgetPage
from tests.browser.panel_page import HOSTILE, mount, safe, wait_sent


def webp(colour: str, side: int = 32) -> bytes:
    """Return a small picture."""
    buffer = io.BytesIO()
    Image.new("RGB", (side, side), colour).save(buffer, "WEBP")
    return buffer.getvalue()


def item(number: int, **other: Any) -> dict[str, Any]:
    """Return one picture of the gallery; every picture is a stack of its own unless it says otherwise."""
    return {
        "id": f"{number:04x}/0", "stack": f"s{number}", "seed": number, "star": False, "rej": False, "kind": "image",
        "label": f"fox {number}", "expr": f"{number:04x}[0]", "alt": f"fox {number}, seed {number}",
        "facts": [f"seed {number}"], **other,
    }  # fmt: skip


def gallery(widgets: WidgetPage, items: list[dict[str, Any]], **state: Any) -> Widget:
    """Mount a gallery."""
    return mount(widgets, Gallery, items=items, total=len(items), **state)


def asked(widget: Widget, kind: str) -> list[Any]:
    """Return the messages of one kind that the page sent."""
    return [message for message in widget.sent() if message["kind"] == kind]


def send_full(widget: Widget, key: str, colour: str = "red", side: int = 400) -> None:
    """Answer with a whole picture."""
    widget.receive({"kind": "full", "key": key, "mime": "image/webp"}, webp(colour, side))


# ------------------------------------------------------------------ the grid


def test_only_what_is_seen_is_asked_for(widgets: WidgetPage) -> None:
    """Of 500 pictures the first screens' thumbnails are asked for, in few messages; scrolling asks for others, once."""
    widget = gallery(widgets, [item(k) for k in range(500)])
    wait_sent(widgets, widget, lambda m: m["kind"] == "thumbs")
    first = {key for message in asked(widget, "thumbs") for key in message["keys"]}
    assert 20 < len(first) < 150
    widgets.page.locator(".wan-grid").evaluate("grid => { grid.scrollTop = grid.scrollHeight; }")
    wait_sent(widgets, widget, lambda m: "01f3/0" in m.get("keys", ()))
    keys = [key for message in asked(widget, "thumbs") for key in message["keys"]]
    assert len(keys) == len(set(keys)) < 400


def test_thumbnails_appear_and_missing_files_say_so(widgets: WidgetPage) -> None:
    """A thumbnail is a blob's address; an empty one marks the tile."""
    widget = gallery(widgets, [item(1), item(2)])
    widget.receive({"kind": "thumbs", "keys": ["0001/0", "0002/0"]}, webp("teal"), b"")
    widgets.page.locator(".wan-tile[data-gone]").wait_for()
    tiles = widgets.page.locator(".wan-tile")
    assert str(tiles.nth(0).locator("img").get_attribute("src")).startswith("blob:")
    assert tiles.nth(1).get_attribute("data-gone") is not None


def test_the_grid_is_walked_with_the_keyboard(widgets: WidgetPage) -> None:
    """One tab stop; arrows move and select, Enter opens, S stars, X rejects."""
    widget = gallery(widgets, [item(k) for k in range(30)])
    page = widgets.page
    assert page.locator(".wan-tile[tabindex='0']").count() == 1
    page.locator(".wan-tile").first.focus()
    columns = page.locator(".wan-grid").evaluate("g => getComputedStyle(g).gridTemplateColumns.split(' ').length")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowDown")
    assert page.evaluate("document.activeElement.dataset.id") == f"{1 + columns:04x}/0"
    assert widget.get("selected") == f"{1 + columns:04x}/0"
    page.keyboard.press("s")
    assert asked(widget, "star") == [{"kind": "star", "id": f"{1 + columns:04x}/0", "on": True}]
    page.keyboard.press("x")
    assert asked(widget, "reject")[0]["on"] is True
    page.keyboard.press("Enter")
    assert page.locator("dialog[open]").count() == 1


def test_a_star_shows_before_the_kernel_answers(widgets: WidgetPage) -> None:
    """The mark is there at once, and is not sent back as a trait."""
    widget = gallery(widgets, [item(1), item(2)])
    widgets.page.locator(".wan-tile").first.click()
    widgets.page.locator(".wan-inspector").get_by_text("☆ Star").click()
    assert widgets.page.locator(".wan-tile-marks").first.inner_text() == "★"
    assert (
        widgets.page.locator(".wan-inspector").get_by_text("★ Star", exact=True).get_attribute("aria-pressed") == "true"
    )
    assert all("items" not in saved for saved in widget.saved())
    widget.receive({"kind": "listed"})  # the kernel has looked, and knows better
    assert widgets.page.locator(".wan-tile-marks").first.inner_text() == ""


def test_seeds_stack_and_open(widgets: WidgetPage) -> None:
    """A stack is one tile with its number, opens in place by click or key, and stacking can be switched off."""
    gallery(widgets, [item(1, stack="a"), item(2, stack="a"), item(3, stack="a"), item(4)])
    page = widgets.page
    assert page.locator(".wan-tile").count() == 2
    stack = page.locator(".wan-tile-stack:visible")
    assert stack.get_attribute("aria-label") == "3 pictures that differ only in their seed"
    stack.press("Enter")
    assert page.locator(".wan-tile").count() == 4
    assert page.locator(".wan-tile-stack:visible").get_attribute("aria-expanded") == "true"
    page.locator(".wan-tile-stack:visible").click()
    assert page.locator(".wan-tile").count() == 2
    page.get_by_text("Stack seeds").click()
    assert page.locator(".wan-tile").count() == 4
    assert page.locator(".wan-tile-stack:visible").count() == 0


def test_filters_are_sent_together_after_a_pause(widgets: WidgetPage) -> None:
    """Typing asks once; every filter is in the question."""
    widget = gallery(widgets, [item(1)], tags=["study"])
    page = widgets.page
    page.locator(".wan-filter-words").press_sequentially("fox", delay=10)
    wait_sent(widgets, widget, lambda m: m["kind"] == "filter")
    page.locator(".wan-filter-tag").select_option("study")
    page.get_by_role("button", name="Starred only").click()
    filters = asked(widget, "filter")
    assert [f["words"] for f in filters] == ["fox"] * 3
    assert filters[-1] == {
        "kind": "filter",
        "words": "fox",
        "seed": "",
        "tag": "study",
        "starred": True,
        "rejected": False,
    }


def test_new_pictures_do_not_move_the_focus(widgets: WidgetPage) -> None:
    """A picture that arrives is put in front; the tile with the focus keeps it, and keeps its image."""
    widget = gallery(widgets, [item(1), item(2)])
    widgets.page.locator(".wan-tile").nth(1).focus()
    before = widgets.page.locator(".wan-tile").nth(1).element_handle()
    widget.set(items=[item(9), item(1), item(2)], total=3)
    assert widgets.page.locator(".wan-tile").count() == 3
    assert widgets.page.evaluate("document.activeElement.dataset.id") == "0002/0"
    assert before.evaluate("tile => tile.isConnected")


def test_rejecting_goes_on_to_the_next_picture(widgets: WidgetPage) -> None:
    """The picture that is gone leaves focus and selection to the one in its place, in the grid and in the full view."""
    widget = gallery(widgets, [item(k) for k in range(4)])
    page = widgets.page
    page.locator(".wan-tile").nth(1).click()
    page.keyboard.press("x")
    widget.set(items=[item(k) for k in (0, 2, 3)], total=3)
    assert page.evaluate("document.activeElement.dataset.id") == "0002/0"
    assert widget.get("selected") == "0002/0"
    page.keyboard.press("Enter")
    assert page.locator(".wan-light-count").inner_text() == "2 of 3"
    page.keyboard.press("x")
    widget.set(items=[item(k) for k in (0, 3)], total=2)
    assert page.locator(".wan-light-count").inner_text() == "– of 2"
    page.keyboard.press("ArrowRight")
    assert page.locator(".wan-light-title").inner_text() == "fox 3"


def test_what_can_be_done_is_hidden_until_a_picture_is_chosen(widgets: WidgetPage) -> None:
    """No row of dead buttons; its place is kept, so that nothing jumps when one is chosen."""
    gallery(widgets, [item(1)])
    inspector = widgets.page.locator(".wan-inspector")
    height = inspector.bounding_box()["height"]
    assert inspector.locator("button:visible").count() == 0
    widgets.page.locator(".wan-tile").click()
    assert inspector.locator("button:visible").count() == 7  # two marks, four that are used most, More
    assert inspector.bounding_box()["height"] == height


def test_the_rest_is_disclosed_and_the_toolbar_is_one_tab_stop(widgets: WidgetPage) -> None:
    """A toolbar as ARIA has it: Tab enters once, arrows go on and pass over what is hidden, a toggle says its state."""
    gallery(widgets, [item(1)])
    page = widgets.page
    page.locator(".wan-tile").click()
    bar = page.locator(".wan-inspector .wan-actions")
    assert bar.get_attribute("role") == "toolbar"
    assert bar.locator("[tabindex='0']").count() == 1
    bar.get_by_text("☆ Star").focus()
    for name in ("✕ Reject", "Use as input", "Recall", "Copy as cell", "Download", "More ▾"):
        page.keyboard.press("ArrowRight")
        assert page.locator(":focus").inner_text() == name
    assert bar.locator("[tabindex='0']").count() == 1
    more = page.locator(":focus")
    assert more.get_attribute("aria-expanded") == "false"
    page.keyboard.press("ArrowRight")
    assert page.locator(":focus").inner_text() == "More ▾"
    page.keyboard.press("Enter")
    assert page.locator(":focus").get_attribute("aria-expanded") == "true"
    page.keyboard.press("ArrowRight")
    assert page.locator(":focus").inner_text() == "Edit this"
    page.keyboard.press("Home")
    assert page.locator(":focus").get_attribute("aria-pressed") == "false"
    page.keyboard.press("Tab")
    assert bar.locator(":focus").count() == 0


@pytest.mark.parametrize("width", [420, 560, 600, 640, 680, 720, 800])
def test_the_grid_does_not_jump_when_pictures_arrive(widgets: WidgetPage, width: int) -> None:
    """How many there are takes the same room, whatever the number."""
    widgets.page.set_viewport_size({"width": width, "height": 900})
    widget = gallery(widgets, [])
    top = widgets.page.locator(".wan-grid").bounding_box()["y"]
    many = [item(k, stack=f"s{k // 2}") for k in range(40)]
    widget.set(items=many, total=1200)
    assert "newest 40 in 20 stacks" in widgets.page.locator(".wan-filter-count").inner_text()
    assert widgets.page.locator(".wan-grid").bounding_box()["y"] == top


# ------------------------------------------------------------------ the full view


def test_the_full_view_shows_the_thumbnail_then_the_whole_picture(widgets: WidgetPage) -> None:
    """The full file is asked for once, on demand; Escape closes and gives the focus back."""
    widget = gallery(widgets, [item(1), item(2)])
    widget.receive({"kind": "thumbs", "keys": ["0001/0"]}, webp("teal"))
    page = widgets.page
    assert asked(widget, "full") == []
    page.locator(".wan-tile").first.dblclick()
    image = page.locator(".wan-stage-image")
    assert image.evaluate("i => i.decode().then(() => i.naturalWidth)") == 32
    assert asked(widget, "full") == [{"kind": "full", "key": "full:0001/0"}]
    send_full(widget, "full:0001/0")
    assert image.evaluate("i => i.decode().then(() => i.naturalWidth)") == 400
    page.keyboard.press("ArrowRight")
    assert page.locator(".wan-light-title").inner_text() == "fox 2"
    page.keyboard.press("ArrowLeft")
    assert len(asked(widget, "full")) == 2
    page.keyboard.press("Escape")
    assert page.locator("dialog[open]").count() == 0
    assert page.evaluate("document.activeElement.dataset.id") == "0001/0"


def test_zoom_goes_to_true_pixels(widgets: WidgetPage) -> None:
    """At 100 % one pixel of the file is one of the screen; larger, smaller and fit by key, moving by drag."""
    widget = gallery(widgets, [item(1)])
    page = widgets.page
    page.locator(".wan-tile").first.dblclick()
    send_full(widget, "full:0001/0")
    image = page.locator(".wan-stage-image")
    image.evaluate("i => i.decode()")
    page.keyboard.press("1")
    ratio = page.evaluate("devicePixelRatio")
    assert image.bounding_box()["width"] * ratio == pytest.approx(400)
    page.keyboard.press("+")
    assert image.bounding_box()["width"] * ratio == pytest.approx(800)
    before = image.bounding_box()["x"]
    box = page.locator(".wan-stage").bounding_box()
    page.mouse.move(box["x"] + 200, box["y"] + 200)
    page.mouse.down()
    page.mouse.move(box["x"] + 260, box["y"] + 200)
    page.mouse.up()
    assert image.bounding_box()["x"] == pytest.approx(before + 60)
    page.keyboard.press("0")
    assert page.locator(".wan-stage[data-zoomed]").count() == 0


def test_the_wheel_zooms_where_the_pointer_is(widgets: WidgetPage) -> None:
    """What lies under the pointer stays there, and a trackpad's small steps add up to one."""
    widget = gallery(widgets, [item(1)])
    page = widgets.page
    page.locator(".wan-tile").first.dblclick()
    send_full(widget, "full:0001/0")
    image = page.locator(".wan-stage-image")
    image.evaluate("i => i.decode()")
    page.keyboard.press("1")
    before = image.bounding_box()
    at = (before["x"] + 0.75 * before["width"], before["y"] + 0.75 * before["height"])
    page.mouse.move(*at)
    for _ in range(3):
        page.mouse.wheel(0, -20)
    page.wait_for_function("document.querySelector('.wan-light-zoom').textContent === '200 %'")
    after = image.bounding_box()
    assert after["x"] + 0.75 * after["width"] == pytest.approx(at[0], abs=1)
    assert after["y"] + 0.75 * after["height"] == pytest.approx(at[1], abs=1)


def test_a_narrow_window_cuts_nothing_off_the_full_view(widgets: WidgetPage) -> None:
    """Facts and prompts of any length stay inside; nothing is moved sideways to reach a button."""
    widgets.page.set_viewport_size({"width": 420, "height": 700})
    gallery(widgets, [item(1, label="fox " * 60, facts=["fact " * 40])])
    widgets.page.locator(".wan-tile").first.dblclick()
    dialog = widgets.page.locator("dialog[open]")
    assert dialog.evaluate("d => d.scrollWidth <= d.clientWidth")
    boxes = dialog.locator("button").evaluate_all(
        "all => all.map(b => [b.getBoundingClientRect()].map(r => [r.left, r.right])[0])"
    )
    assert all(left >= 0 and right <= 420 for left, right in boxes)


def test_before_and_after_are_compared_with_pointer_and_keys(widgets: WidgetPage) -> None:
    """The input lies over the result up to a line, which a pointer or the arrow keys move."""
    widget = gallery(widgets, [item(1), item(2)])
    page = widgets.page
    page.locator(".wan-tile").first.dblclick()
    send_full(widget, "full:0001/0", "red")
    inputs = [{"position": 0, "name": "photo"}]
    widget.receive(
        {"kind": "details", "id": "0001/0", "prompt": "p", "negative": "", "facts": [], "cell": "", "inputs": inputs}
    )
    page.locator(".wan-light select").select_option("input:0001/0".replace("input:0001/0", "input:0"))
    assert asked(widget, "full")[-1] == {"kind": "full", "key": "input:0001/0:0"}
    assert page.locator(".wan-slider").is_hidden()
    send_full(widget, "input:0001/0:0", "blue")
    assert page.locator(".wan-slider").is_visible()
    line = page.locator(".wan-slider-line")
    middle = line.bounding_box()["x"]
    page.locator(".wan-slider-range").focus()
    for _ in range(20):
        page.keyboard.press("ArrowRight")
    assert line.bounding_box()["x"] > middle + 50
    box = page.locator(".wan-slider").bounding_box()
    page.mouse.click(box["x"] + box["width"] * 0.25, box["y"] + 40)
    assert line.bounding_box()["x"] == pytest.approx(box["x"] + box["width"] * 0.25, abs=8)
    page.locator(".wan-light select").select_option("item:0002/0")
    assert asked(widget, "full")[-1] == {"kind": "full", "key": "full:0002/0"}
    page.get_by_text("Fit", exact=True).click()
    assert page.locator(".wan-slider").is_hidden()


def test_the_buttons_of_a_picture_say_what_they_ask(widgets: WidgetPage) -> None:
    """Each action is one message with the picture's id; a cell is copied from what has come."""
    widget = gallery(widgets, [item(1)])
    page = widgets.page
    page.locator(".wan-tile").first.click()
    page.locator(".wan-inspector .wan-actions-more").click()
    for text in ("Use as input", "Edit this", "Recall", "New seed", "Use its seed"):
        page.locator(".wan-inspector").get_by_text(text, exact=True).click()
    assert [m["what"] for m in asked(widget, "act")] == ["use", "edit", "recall", "newseed", "seed"]
    assert all(m["id"] == "0001/0" for m in asked(widget, "act"))
    with page.expect_download() as download:
        page.locator(".wan-inspector").get_by_text("Save clean copy", exact=True).click()
        (wish,) = asked(widget, "save")
        assert wish["clean"] is True
        widget.receive({"kind": "save", "key": wish["key"], "name": "fox-clean.png", "mime": "image/png"}, b"png")
    assert download.value.suggested_filename == "fox-clean.png"


# ------------------------------------------------------------------ the history

ROW = {
    "id": "a1", "key": "a1/0", "when": "22 Nov 12:00", "prompt": "a fox", "state": "saved", "icon": "✓",
    "tone": "#2f9659", "mode": "edit", "size": "10×10", "seed": 5, "pictures": 1, "took": "3.0 s", "cost": "$0.03",
    "source": "reported", "tags": "study", "trashed": False, "settled": True,
}  # fmt: skip


def table(widgets: WidgetPage, rows: list[dict[str, Any]], **page: Any) -> Widget:
    """Mount a history."""
    whole = {"rows": rows, "offset": 0, "limit": 25, "total_rows": len(rows), "totals": "1 job", "sort": "created",
             "descending": True, **page}  # fmt: skip
    return mount(widgets, HistoryTable, page=whole, states=["saved", "failed"])


def test_columns_sort_and_pages_turn_in_the_kernel(widgets: WidgetPage) -> None:
    """A header says how it sorts, a click asks for it, a second one turns it round; pages are asked for by offset."""
    widget = table(widgets, [{**ROW, "id": f"j{k}", "key": ""} for k in range(25)], total_rows=60)
    page = widgets.page
    assert page.locator("th[aria-sort=descending]").inner_text() == "When ▾"
    page.get_by_role("button", name="Cost").click()
    page.get_by_role("button", name="Older ›").click()
    queries = asked(widget, "query")
    assert (queries[0]["sort"], queries[0]["descending"], queries[0]["offset"]) == ("cost", True, 0)
    assert queries[1]["offset"] == 25
    assert page.locator(".wan-history-foot span").inner_text() == "1–25 of 60"
    assert page.get_by_role("button", name="‹ Newer").get_attribute("aria-disabled") == "true"


def test_a_rows_buttons_and_the_export(widgets: WidgetPage) -> None:
    """Recall and Trash are messages with the job's id; CSV comes as a file."""
    running = {**ROW, "id": "c3", "settled": False, "key": ""}
    widget = table(widgets, [ROW, {**ROW, "id": "b2", "trashed": True, "key": ""}, running])
    page = widgets.page
    page.get_by_role("button", name="Put into the trash: job c3").click(force=True)  # it is off
    page.get_by_role("button", name="Recall job a1").click()
    page.get_by_role("button", name="Put into the trash: job a1").click()
    page.get_by_role("button", name="Take out of the trash: job b2").click()
    assert [(m["what"], m["job"]) for m in asked(widget, "act")] == [
        ("recall", "a1"),
        ("trash", "a1"),
        ("restore", "b2"),
    ]
    with page.expect_download() as download:
        page.get_by_role("button", name="Export CSV").click()
        widget.receive({"kind": "csv", "name": "h.csv"}, b"id\r\n")
    assert download.value.suggested_filename == "h.csv"
    widget.receive({"kind": "thumbs", "keys": ["a1/0"]}, webp("teal"))
    assert str(page.locator("tbody img").first.get_attribute("src")).startswith("blob:")


def test_a_narrow_history_needs_no_scrolling_sideways(widgets: WidgetPage) -> None:
    """Beside another panel a row is a block with all its buttons in reach, and is still read out as a table's."""
    widgets.page.set_viewport_size({"width": 420, "height": 800})
    table(widgets, [{**ROW, "prompt": "fox " * 60, "key": ""}])
    page = widgets.page
    assert page.locator(".wan-history-scroll").evaluate("s => s.scrollWidth <= s.clientWidth")
    assert page.get_by_role("button", name="Put into the trash: job a1").is_visible()
    assert page.get_by_role("columnheader", name="Cost").is_visible()
    assert page.get_by_role("row").count() == 2
    assert page.get_by_role("cell", name="$0.03 reported").is_visible()


@pytest.mark.parametrize("width", [420, 600, 760, 800, 900, 910, 1000, 1160])
def test_what_it_cost_is_always_in_sight(widgets: WidgetPage, width: int) -> None:
    """Whatever the width, the cost and its source stand in the table without scrolling sideways."""
    widgets.page.set_viewport_size({"width": width, "height": 800})
    table(widgets, [{**ROW, "prompt": "fox " * 60, "key": "", "tags": "study, a long one", "state": "in doubt"}])
    box = widgets.page.locator(".wan-history-scroll").bounding_box()
    cost = widgets.page.get_by_text("$0.03", exact=True).bounding_box()
    assert box["x"] <= cost["x"]
    assert cost["x"] + cost["width"] <= box["x"] + box["width"]


# ------------------------------------------------------------------ both


@pytest.mark.parametrize("text", HOSTILE)
def test_any_text_is_shown_as_text(widgets: WidgetPage, text: str) -> None:
    """Prompts, tags and facts cannot become markup, and do not spill out of the panel."""
    widget = gallery(widgets, [item(1, label=text, alt=text, facts=[text], expr=text)], tags=[text], empty=text)
    table(widgets, [{**ROW, "prompt": text, "tags": text, "mode": text, "cost": text}], totals=text)
    page = widgets.page
    page.locator(".wan-tile").first.dblclick()
    inputs = [{"position": 0, "name": text}]
    widget.receive(
        {
            "kind": "details",
            "id": "0001/0",
            "prompt": text,
            "negative": text,
            "facts": [text],
            "cell": text,
            "inputs": inputs,
        }
    )
    safe(widgets)
    assert text in (page.locator(".wan-light-prompt").text_content() or "")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


@pytest.mark.parametrize("kind", [Gallery, HistoryTable])
def test_a_removed_part_leaves_nothing_behind(widgets: WidgetPage, kind: type) -> None:
    """Listeners on the model go with the view."""
    widget = mount(widgets, kind)
    widget.dispose()
    assert widget.listeners() == 0
