"""The panel in a real JupyterLab: a request built with the mouse, watched, looked at, copied as a cell, and run."""

import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.environment import ROOT
from tests.lab.harness import Lab, VoilaPage, low_contrast
from tests.lab.kernels import ensure_kernel6

LOAD = """%load_ext wan_notebook
from PIL import Image
photo = Image.open('data/chelsea.jpg')
animal = 'fox'"""
BUTTON = ".wan-run-button"
ACTIONS = ".wan-actions .wan-b"
OUTLINED = (
    ":is(.wan-left, .wan-cell, .wan-filters) :is(.wan-b:not([aria-disabled=true]), textarea, input:not([type=file]))"
)


def opened(lab: Lab, *cells: str, load: str = LOAD, seconds: str = "1") -> Any:
    """Open a notebook with a panel in cell 1, beside real photographs; return the page."""
    shutil.copytree(ROOT / "notebooks/data", lab.folder / "data")
    kernel = lab.server.add_kernel(f"wan{seconds}", Path(sys.executable), {"WAN_SIMULATOR_SECONDS": seconds})
    lab.write("a.ipynb", [load, "%wan panel", *cells], kernel=kernel)
    lab.open("a.ipynb")
    lab.run_cell(0, 1)
    lab.wait_css(BUTTON)
    return lab.page


def ready(page: Any, text: str = "Generate · practice (free)") -> None:
    """Wait until the form has been read and can be sent."""
    page.wait_for_function(
        "text => { const b = document.querySelector('.wan-run-button');"
        " return b?.textContent === text && b.ariaDisabled === 'false'; }",
        arg=text,
    )


def made(page: Any, prompt: str = "a fox in snow", css: str = ".wan-tile img[src^='blob:']") -> None:
    """Generate with the button, and wait for the picture, or for something else."""
    page.locator(".wan-f-prompt textarea").fill(prompt)
    ready(page)
    page.locator(BUTTON).click()
    page.wait_for_selector(css)


def cell_text(lab: Lab) -> str:
    """Return the equivalent cell."""
    return str(lab.page.locator(".wan-cell-text").inner_text()).strip()


def test_from_a_variable_and_an_upload_to_a_cell_that_runs(lab: Lab) -> None:
    """Choose a variable, upload a file, write with a name, generate, watch, compare, star, copy, paste, run."""
    page = opened(lab, "")
    page.locator(".wan-choice[data-expression=photo]").click()
    page.locator("input[type=file]").set_input_files(str(lab.folder / "data/coffee.jpg"))
    page.wait_for_selector(".wan-chip >> nth=1")
    page.locator(".wan-f-prompt textarea").fill("the {animal} of image 1 with the cup of image 2")
    page.get_by_text("Sent as: the fox of image 1").wait_for()
    ready(page)
    assert cell_text(lab).startswith("%%wan -i photo -i wan-pictures/inputs/")
    assert "shape of image 2" in page.locator(".wan-size .wan-note").inner_text()
    page.locator(BUTTON).click()
    page.wait_for_selector(".wan-jobrow")
    page.wait_for_selector(".wan-jobrow[data-over]")
    page.wait_for_selector(".wan-tile img[src^='blob:']")
    page.locator(".wan-tile").first.dblclick()
    page.wait_for_function("document.querySelector('.wan-stage-image').naturalWidth > 1000")
    page.get_by_role("button", name="Compare with…").click()
    page.locator(".wan-light .wan-choice").first.click()
    page.wait_for_selector(".wan-slider:visible")
    page.locator(".wan-slider-range").fill("80")
    page.keyboard.press("Escape")
    page.locator(".wan-inspector").get_by_text("☆ Star").click()
    page.wait_for_function("document.querySelector('.wan-tile-marks').textContent === '★'")
    lab.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.locator(".wan-inspector").get_by_text("Copy cell").click()
    page.wait_for_function("document.querySelector('.wan-inspector').textContent.includes('Copied')")
    lab.cell(2).locator(".cm-content").click()
    page.keyboard.press("Control+V")
    assert lab.sources()[2].startswith("%%wan -i wan-pictures/inputs/")
    lab.run_cell(2)
    lab.wait_text(2, "saved")


def test_the_panel_survives_a_reload_and_a_busy_kernel(lab: Lab) -> None:
    """After a reload in mid-run the rows are there, and the picture arrives while another cell computes."""
    page = opened(lab, "import time; time.sleep(12)", seconds="4")
    made(page, css=".wan-jobrow")
    lab.save()
    lab.reload()
    lab.wait_css(BUTTON)
    assert "a fox in snow" in page.locator(".wan-jobrow").inner_text()
    assert page.locator(".wan-f-prompt textarea").input_value() == "a fox in snow"
    lab.run_cell(2, wait=False)
    page.wait_for_selector(".wan-jobrow[data-over]")
    page.wait_for_selector(".wan-tile")
    assert lab.prompt(2) == "[*]:"


def leaves_the_notebook_alone(lab: Lab) -> None:
    """Press what JupyterLab has meanings for on several parts; the focus stays, and so does every cell."""
    page, cells = lab.page, len(lab.sources())
    for part in (".wan-cell .wan-b", ".wan-size-choice", ".wan-checks input", ".wan-cell-text", ".wan-tab"):
        element = page.locator(f".wan-panel {part}").first
        element.focus()
        for key in ("b", "d", "d", "Shift+m", "ArrowDown", "Control+Enter"):
            page.keyboard.press(key)
        assert page.evaluate("document.activeElement.closest('.wan-panel') !== null"), part
    assert len(lab.sources()) == cells
    assert lab.prompt(1) == "[2]:"


def test_keys_in_the_panel_mean_the_panel(lab: Lab) -> None:
    """No key of a button, a picture or a slider reaches the cells, and arrows do what they do in a browser."""
    page = opened(lab, load=f"{LOAD}\nimport wan_notebook as wan\nwan.generate('a fox', images=[photo]).result()")
    leaves_the_notebook_alone(lab)
    page.locator(".wan-tile").press("Enter")
    page.get_by_role("button", name="Compare with…").click()
    page.locator(".wan-light .wan-choice").first.click()
    page.wait_for_selector(".wan-slider:visible")
    page.locator(".wan-slider-range").press("ArrowRight")
    assert page.locator(".wan-slider-range").input_value() == "50.5"
    page.keyboard.press("Escape")
    page.locator(".wan-tile").press("x")
    page.wait_for_selector(".wan-tile", state="detached")
    page.locator(".wan-cell .wan-b").press("Control+s")  # what is everybody's stays so
    page.wait_for_function("!window.jupyterapp.shell.currentWidget.context.model.dirty")
    assert len(lab.sources()) == 2
    area = page.locator(".wan-f-prompt textarea")
    area.fill("a fox")
    area.press("Enter")
    area.press("Shift+Enter")
    assert area.input_value() == "a fox\n\n"


def test_the_panel_gives_its_cell_and_takes_one_back(lab: Lab) -> None:
    """`%wan recall panel` inserts the cell below without running it; `%wan panel --from` fills in and sends nothing."""
    page = opened(lab, "%wan recall panel", load=f"{LOAD}\nimport wan_notebook as wan")
    page.locator(".wan-f-prompt textarea").fill("a {animal} in snow")
    page.locator(".wan-f-seed input").fill("7")
    page.locator(".wan-cell-text", has_text="--seed 7").wait_for()
    lab.run_cell(2)
    assert lab.sources()[3] == "%%wan --seed 7\na {animal} in snow"
    lab.run_cell(3)
    lab.wait_text(3, "saved")
    page.wait_for_selector(".wan-tile")
    lab.page.evaluate("window.jupyterapp.commands.execute('notebook:insert-cell-below')")
    lab.type_into(
        4, "%wan panel --from " + lab.page.evaluate("document.querySelector('.wan-tile').dataset.id").split("/")[0]
    )
    lab.run_cell(4)
    page.wait_for_function(
        "() => { const all = document.querySelectorAll('.wan-run-button');"
        " return all.length === 2 && all[1].textContent === 'From store · $0.00'; }"
    )
    assert page.locator(".wan-f-prompt textarea").nth(1).input_value() == "a fox in snow"


def test_a_restart_and_the_next_day(lab: Lab) -> None:
    """A restart greys the panel out and says what to do; the saved notebook names the cell and the last job."""
    page = opened(lab)
    page.locator(".wan-f-prompt textarea").fill("a {animal} in snow")
    page.locator(".wan-f-seed input").fill("7")
    ready(page)
    page.locator(".wan-cell-text", has_text="--seed 7").wait_for()
    assert "a {animal}" not in lab.output(1).inner_text().replace(cell_text(lab), "")  # nothing stands there twice
    page.locator(BUTTON).click()
    page.wait_for_selector(".wan-tile img[src^='blob:']")
    job = page.locator(".wan-tile").get_attribute("data-id").split("/")[0]
    lab.save()
    lab.restart_kernel()
    page.get_by_text("The kernel was restarted. Run this cell again.").wait_for()
    assert page.locator(BUTTON).is_hidden()
    lab.reopen()
    lab.wait_text(1, f"Last request: job {job}")
    assert "%%wan --seed 7\na {animal} in snow" in lab.out_text(1)
    lab.run_cell(0, 1)
    page.wait_for_selector(".wan-tile img[src^='blob:']")
    assert "Last request" not in lab.output(1).inner_text()


@pytest.mark.parametrize("front_end", ["lab", "notebook7"])
def test_an_older_kernel_and_notebook_7_have_the_same_panel(front_end: str, request: pytest.FixtureRequest) -> None:
    """An ipykernel 6.31 handles clicks on other threads and at other times; Notebook 7 has no JupyterLab around it."""
    driver: Lab = request.getfixturevalue(front_end)
    kernel = driver.server.add_kernel("k6", ensure_kernel6()) if front_end == "lab" else "python3"
    driver.write("a.ipynb", ["%load_ext wan_notebook", "import wan_notebook as wan; wan.panel()"], kernel=kernel)
    driver.open("a.ipynb")
    driver.run_all()
    driver.wait_css(BUTTON)
    made(driver.page)
    leaves_the_notebook_alone(driver)


def test_voila_has_the_same_panel(voila: VoilaPage) -> None:
    """As a page of its own, without a notebook around it."""
    voila.write("a.ipynb", ["%load_ext wan_notebook", "%wan panel"])
    voila.open("a.ipynb")
    made(voila.page)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_words_signs_and_outlines_can_be_read(lab: Lab, theme: str) -> None:
    """States of jobs, an unknown name, the history: 4.5:1 for words, 3:1 for signs and outlines, in both themes."""
    jobs = "import wan_notebook as wan\nwan.generate('a fox', seed=5).result()\nfor word in ('fail', 'seconds:90'):\n"
    jobs += "    wan.generate(f'[[{word}]] an owl')"
    page = opened(lab, load=f"%load_ext wan_notebook\n{jobs}\nmood = 'curious'")
    lab.theme(theme)
    page.locator(".wan-f-prompt textarea").fill("a {nobody} {mood} fox")
    page.wait_for_selector(".wan-f-prompt[data-wrong] .wan-note >> text=nobody")
    page.locator(".wan-jobrow b", has_text="failed").first.wait_for()
    page.locator(".wan-tile").first.click()
    page.locator(".wan-inspector").get_by_text("More ▾").click()
    assert low_contrast(page, ".wan-panel") == []
    assert low_contrast(page, f":is({OUTLINED}, {ACTIONS})", "faint") == []
    page.locator(".wan-tile").first.dblclick()
    page.wait_for_function("document.querySelector('.wan-stage-image').naturalWidth > 1000")
    assert low_contrast(page, f".wan-light {ACTIONS}", "faint") == []
    page.keyboard.press("Escape")
    page.get_by_role("tab", name="History").click()
    page.wait_for_selector(".wan-history tbody tr >> nth=2")
    assert low_contrast(page, ".wan-history") == []
