"""The form's own parts in a bare page: what shows at once, what is tied to what, and that any text stays text."""

import pytest
from wan_notebook.panel.fields import size_choices
from wan_notebook.rules import Mode
from wan_notebook.views.panel_widgets import CellRecord, FieldNote, JobRows, RunBar, SizePicker, Sources

from tests.browser.page import WidgetPage
from tests.browser.panel_page import HOSTILE, field, mount, safe, wait_sent

JOB = {
    "id": "a1", "state": "running", "icon": "◐", "word": "running", "tone": "#3d84d6", "label": "seed 5",
    "elapsed_s": 3.0, "ticking": True, "progress": None, "eta": "about 8–14 s more", "can_cancel": True,
    "cancel_requested": False, "prompt": "a fox", "reasons": [], "cost": "up to $0.03",
}  # fmt: skip


# ------------------------------------------------------------------ notes


def test_a_note_is_tied_to_its_field(widgets: WidgetPage) -> None:
    """A screen reader hears the problem with the field, and the field is marked; a calm hint marks nothing."""
    field(widgets, "prompt", "<textarea></textarea>")
    note = mount(widgets, FieldNote, limit=2000, problems=["Too long."])
    widgets.page.evaluate("document.querySelector('.wan-field').append(document.querySelector('[id^=widget]'))")
    note.set(problems=["Much too long."])
    area = widgets.page.locator("textarea")
    described = area.get_attribute("aria-describedby")
    assert widgets.page.locator(f"#{described}").inner_text() == "Much too long."
    assert area.get_attribute("aria-invalid") == "true"
    note.set(soft=True)
    assert area.get_attribute("aria-invalid") == "false"
    note.set(problems=[])
    assert area.get_attribute("aria-invalid") == "false"


def test_characters_are_counted_at_once_and_by_code_points(widgets: WidgetPage) -> None:
    """The counter follows every key without the kernel, and counts an emoji of one code point once."""
    field(widgets, "prompt", "<textarea></textarea>")
    note = mount(widgets, FieldNote, limit=10)
    widgets.page.evaluate("document.querySelector('.wan-field').append(document.querySelector('[id^=widget]'))")
    note.set(hint="x")
    widgets.page.locator("textarea").fill("狐🦊")
    count = widgets.page.locator(".wan-note-count")
    assert count.inner_text() == "2 / 10"
    note.set(count=11, typed="狐🦊")  # names resolved, as the kernel knows
    assert count.inner_text() == "11 / 10"
    assert count.get_attribute("data-over") is not None
    widgets.page.locator("textarea").fill("狐")
    assert count.inner_text() == "1 / 10"


def test_unknown_names_are_marked_by_more_than_colour(widgets: WidgetPage) -> None:
    """A resolved name and an unknown one differ in their elements, not only in their looks."""
    mount(widgets, FieldNote, pieces=[["text", "a "], ["value", "fox"], ["unknown", "{nope}"]])
    assert widgets.page.locator("ins").inner_text() == "fox"
    assert widgets.page.locator("mark").inner_text() == "{nope}"
    assert widgets.page.locator("mark").get_attribute("title") == "no such variable"


# ------------------------------------------------------------------ the button


def test_a_click_shows_at_once_and_counts_once(widgets: WidgetPage) -> None:
    """Before the kernel answers the button says so and takes no second click; the answer frees it."""
    field(widgets, "prompt", "<textarea>a fox</textarea>")
    run = mount(widgets, RunBar, label="Generate · up to $0.12", enabled=True)
    button = widgets.page.locator(".wan-run-button")
    button.click()
    assert button.inner_text() == "Queued…"
    button.click(force=True)
    (sent,) = run.sent()
    assert sent == {"kind": "generate", "click": 1, "shown": "Generate · up to $0.12", "texts": {"prompt": "a fox"}}
    run.set(answered=1)
    assert button.inner_text() == "Generate · up to $0.12"
    button.click()
    assert [m["click"] for m in run.sent()] == [1, 2]


def test_the_button_says_what_runs_already(widgets: WidgetPage) -> None:
    """A narrow panel shows no row beside the form: who sees nothing happen would order, and pay, a second time."""
    run = mount(widgets, RunBar, label="Generate · up to $0.03", detail="1 picture", enabled=True)
    detail = widgets.page.locator(".wan-run-detail")
    assert detail.inner_text() == "1 picture"
    run.set(running="2 jobs running")
    assert detail.inner_text() == "1 picture · 2 jobs running"
    run.set(running="", detail="")
    assert detail.inner_text() == ""


def test_a_form_with_problems_cannot_be_sent(widgets: WidgetPage) -> None:
    """The button keeps its place in the focus order, says that it is off, and sends nothing by click or by key."""
    field(widgets, "prompt", "<textarea></textarea>")
    run = mount(widgets, RunBar, label="Generate", enabled=False)
    button = widgets.page.locator(".wan-run-button")
    assert button.get_attribute("aria-disabled") == "true"
    button.click(force=True)
    widgets.page.locator("textarea").press("Control+Enter")
    assert run.sent() == []


def test_control_enter_in_a_field_sends(widgets: WidgetPage) -> None:
    """Also in a stock field, which lets no key out; the key is sent to the button alone."""
    field(widgets, "prompt", "<textarea onkeydown='event.stopPropagation()'>x</textarea>")
    run = mount(widgets, RunBar, label="Generate", enabled=True)
    widgets.page.locator("textarea").press("Control+Enter")
    assert len(run.sent()) == 1


def test_the_notebooks_shortcuts_pass_by_what_has_the_focus(widgets: WidgetPage) -> None:
    """Keys that mean a cell are kept off the focused element itself, where JupyterLab looks; Ctrl+S still saves."""
    mount(widgets, RunBar, label="Generate", enabled=True)
    button = widgets.page.locator(".wan-run-button")
    for key, is_kept in (("x", True), ("Control+s", False), ("Control+Backspace", True), ("Control+Shift+c", False)):
        button.press(key)
        assert (button.get_attribute("data-lm-suppress-shortcuts") == "true") is is_kept, key


# ------------------------------------------------------------------ pictures


def facts(*names: str) -> dict[str, object]:
    """Return what is known of chosen pictures."""
    return {name: {"label": name, "size": "400×300", "key": f"k:{name}"} for name in names}


def test_chips_are_moved_and_removed_with_the_keyboard(widgets: WidgetPage) -> None:
    """Buttons do what dragging does; the numbers follow, and the focus stays where the person works."""
    sources = mount(widgets, Sources, chosen=["a", "b", "c"], facts=facts("a", "b", "c"))
    page = widgets.page
    page.locator(".wan-chip").nth(2).locator(".wan-chip-earlier").press("Enter")
    assert sources.get("chosen") == ["a", "c", "b"]
    assert page.evaluate("document.activeElement.ariaLabel") == "Move image 2, c forward"
    page.keyboard.press("Alt+ArrowLeft")
    assert sources.get("chosen") == ["c", "a", "b"]
    page.keyboard.press("Delete")
    assert sources.get("chosen") == ["a", "b"]
    assert page.locator(".wan-chip-number").all_inner_texts() == ["image 1", "image 2"]
    assert sources.saved()[-1] == {"chosen": ["a", "b"]}


def test_chips_are_reordered_by_dragging(widgets: WidgetPage) -> None:
    """A chip that is dropped on another takes its place."""
    sources = mount(widgets, Sources, chosen=["a", "b", "c"], facts=facts("a", "b", "c"))
    chips = widgets.page.locator(".wan-chip")
    chips.nth(0).drag_to(chips.nth(2))
    assert sources.get("chosen") == ["b", "c", "a"]


def test_a_picture_is_chosen_and_left_out_again(widgets: WidgetPage) -> None:
    """The strip is a row of switches with one tab stop; arrows move in it."""
    choices = [{"expression": e, "label": e, "size": "", "key": e} for e in ("photo", "ref")]
    sources = mount(widgets, Sources, variables=choices)
    page = widgets.page
    page.locator(".wan-choice").nth(0).click()
    assert sources.get("chosen") == ["photo"]
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    assert sources.get("chosen") == ["photo", "ref"]
    assert page.locator(".wan-choice[aria-pressed=true]").count() == 2
    page.keyboard.press("Enter")
    assert sources.get("chosen") == ["photo"]


def test_files_are_sent_in_pieces(widgets: WidgetPage) -> None:
    """A file that is larger than a server's message arrives in parts, by dialog, drop and paste alike."""
    sources = mount(widgets, Sources)
    files = [{"name": "big.png", "mimeType": "image/png", "buffer": b"x" * 4_500_000}]
    widgets.page.locator("input[type=file]").set_input_files(files)
    wait_sent(widgets, sources, lambda m: m["kind"] == "upload", 3)
    parts = [m for m in sources.sent() if m["kind"] == "upload"]
    assert [(m["part"], m["parts"], m["name"], m["how"]) for m in parts] == [
        (k, 3, "big.png", "chosen") for k in range(3)
    ]
    for event, how in (("drop", "dropped"), ("paste", "pasted")):
        widgets.page.evaluate(
            """event => {
              const data = new DataTransfer();
              data.items.add(new File(['x'], 'one.png', { type: 'image/png' }));
              const options = { bubbles: true, cancelable: true, dataTransfer: data, clipboardData: data };
              const made = event === 'drop' ? new DragEvent('drop', options) : new ClipboardEvent('paste', options);
              document.querySelector('.wan-panel').dispatchEvent(made);
            }""",
            event,
        )
        wait_sent(widgets, sources, lambda m, how=how: m.get("how") == how)


def test_text_that_is_pasted_stays_in_its_field(widgets: WidgetPage) -> None:
    """Only files are taken from the clipboard."""
    sources = mount(widgets, Sources)
    prevented = widgets.page.evaluate(
        """() => {
          const data = new DataTransfer();
          data.setData('text/plain', 'a fox');
          const event = new ClipboardEvent('paste', { bubbles: true, cancelable: true, clipboardData: data });
          document.querySelector('.wan-place').dispatchEvent(event);
          return event.defaultPrevented;
        }"""
    )
    assert not prevented
    assert not [m for m in sources.sent() if m["kind"] == "upload"]


# ------------------------------------------------------------------ size and jobs


def test_sizes_are_one_radio_group(widgets: WidgetPage) -> None:
    """One tab stop, arrows choose, what a mode does not have cannot be chosen, free sizes have two numbers."""
    size = mount(widgets, SizePicker, choices=size_choices(Mode.TEXT_TO_IMAGE), limits="limits")
    page = widgets.page
    assert page.locator("[role=radio][tabindex='0']").count() == 1
    page.locator("[data-value='1:1']").click()
    page.keyboard.press("ArrowRight")
    assert size.get("value") == "2:3"
    page.locator("[data-value='2K']").click(force=True)
    assert size.get("value") == "2:3"
    page.locator("[data-value=free]").click()
    page.locator(".wan-size-free input").nth(0).fill("1000")
    page.locator(".wan-size-free input").nth(1).fill("800")
    assert size.get("value") == "1000x800"
    size.set(value="16:9")
    assert page.locator("[aria-checked=true]").get_attribute("data-value") == "16:9"


def test_a_cancel_shows_before_the_kernel_answers(widgets: WidgetPage) -> None:
    """The row says at once that it was asked, sends one wish, and follows the kernel's state afterwards."""
    jobs = mount(widgets, JobRows, jobs=[JOB, {**JOB, "id": "b2", "label": "seed 6"}], sent_at=1e12)
    page = widgets.page
    page.locator(".wan-jobrow button:visible").first.click()
    assert "cancel requested" in page.locator(".wan-jobrow").first.inner_text()
    assert [m for m in jobs.sent() if m["kind"] == "cancel"] == [{"kind": "cancel", "job": "a1"}]
    over = {**JOB, "state": "cancelled", "word": "cancelled", "ticking": False, "can_cancel": False}
    jobs.set(jobs=[over, {**JOB, "id": "b2"}])
    first = page.locator(".wan-jobrow").first
    assert first.locator("b").inner_text() == "cancelled"
    assert first.get_by_text("Cancel", exact=True).is_hidden()


def test_seconds_are_counted_in_the_browser(widgets: WidgetPage) -> None:
    """A row counts on without a message, and stands still when it is over."""
    jobs = mount(widgets, JobRows, jobs=[JOB], sent_at=1e12)
    time = widgets.page.locator(".wan-jobrow-time")
    widgets.page.wait_for_function("document.querySelector('.wan-jobrow-time').textContent > '3.4 s'")
    jobs.set(jobs=[{**JOB, "ticking": False, "elapsed_s": 4.2}])
    assert time.inner_text() == "4.2 s"


def test_five_rows_are_seen_and_more_are_scrolled(widgets: WidgetPage) -> None:
    """Nothing running needs no scroll bar; a row keeps its height in every state; the sixth is scrolled to."""
    jobs = mount(widgets, JobRows)
    box = widgets.page.locator(".wan-jobs")
    scrolls = "e => e.scrollHeight > e.clientHeight"
    assert not box.evaluate(scrolls)
    jobs.set(jobs=[JOB])
    one = widgets.page.locator(".wan-jobrow").bounding_box()["height"]
    jobs.set(jobs=[{**JOB, "progress": 0.4, "eta": ""}])
    assert widgets.page.locator(".wan-jobrow").bounding_box()["height"] == one
    jobs.set(jobs=[{**JOB, "id": f"j{k}"} for k in range(5)])
    assert not box.evaluate(scrolls)
    jobs.set(jobs=[{**JOB, "id": f"j{k}"} for k in range(9)])
    assert box.evaluate(scrolls)


@pytest.mark.parametrize("way", ["silence", "restart"])
def test_a_row_says_that_its_kernel_is_gone(widgets: WidgetPage, way: str) -> None:
    """A restarted kernel tells a row nothing more: the row says so, stands still, and names what helps."""
    over = {**JOB, "id": "b2", "ticking": False, "state": "saved", "word": "saved"}
    jobs = mount(widgets, JobRows, jobs=[JOB, over], sent_at=1e12)
    row = widgets.page.locator(".wan-jobrow").first
    if way == "silence":
        widgets.later(25)
    else:
        jobs.line_ends()
    row.get_by_text("%wan show a1").wait_for()
    assert "%wan resume" in row.inner_text()
    assert "8–14" not in row.inner_text()
    assert row.get_by_text("Cancel").is_hidden()
    assert "kernel" not in widgets.page.locator(".wan-jobrow").nth(1).inner_text()
    stands = row.locator(".wan-jobrow-time").inner_text()
    widgets.page.wait_for_timeout(450)
    assert row.locator(".wan-jobrow-time").inner_text() == stands
    jobs.set(jobs=[{**JOB, "elapsed_s": 30.0}])
    assert "kernel" not in row.inner_text()


def test_the_cell_is_copied(widgets: WidgetPage) -> None:
    """Copy puts exactly the text on the clipboard; without permission a hidden field does it."""
    mount(widgets, CellRecord, text="%%wan\na 狐 <b>")
    widgets.page.evaluate(
        """() => {
          const refuse = async () => { throw new Error('no'); };
          Object.defineProperty(navigator, 'clipboard', { value: { writeText: refuse } });
          document.addEventListener('copy', () => { window.copied = document.activeElement.value; });
        }"""
    )
    widgets.page.locator(".wan-cell button").click()
    widgets.page.wait_for_function("window.copied !== undefined")
    assert widgets.page.evaluate("window.copied") == "%%wan\na 狐 <b>"
    assert widgets.page.locator("textarea").count() == 0


# ------------------------------------------------------------------ all of them


@pytest.mark.parametrize("text", HOSTILE)
def test_any_text_is_shown_as_text(widgets: WidgetPage, text: str) -> None:
    """Prompts, names, problems and the service's words cannot become markup, and do not spill out of the panel."""
    mount(widgets, FieldNote, problems=[text], pieces=[["text", text], ["unknown", text], ["value", text]])
    mount(widgets, RunBar, label="Generate", lines=[text], detail=text)
    mount(widgets, CellRecord, text=text, hint=text)
    known = {text: {"label": text, "size": text, "key": "", "problem": text}}
    choices = [{"expression": text, "label": text, "size": text, "key": text}]
    mount(
        widgets,
        Sources,
        chosen=[text],
        facts=known,
        variables=choices,
        problems=[text],
        offer={"id": "1", "text": text},
    )
    mount(widgets, JobRows, jobs=[{**JOB, "prompt": text, "reasons": [text, text], "ticking": False, "label": text}])
    mount(widgets, SizePicker, choices=size_choices(Mode.EDIT), expected=text, problems=[text])
    safe(widgets)
    assert text in (widgets.page.locator(".wan-cell-text").text_content() or "")
    assert widgets.page.evaluate("document.documentElement.scrollWidth <= innerWidth")


@pytest.mark.parametrize("kind", [FieldNote, RunBar, CellRecord, Sources, JobRows, SizePicker])
def test_a_removed_part_leaves_nothing_behind(widgets: WidgetPage, kind: type) -> None:
    """Listeners on the model go with the view."""
    state = {"choices": size_choices(Mode.EDIT)} if kind is SizePicker else {}
    widget = mount(widgets, kind, **state)
    widget.dispose()
    assert widget.listeners() == 0
