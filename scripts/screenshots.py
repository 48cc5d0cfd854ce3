"""Take the pictures of the documentation anew: a real JupyterLab in Chromium, on the simulator.

    make screenshots

Writes `docs/images/<name>-<theme>.png` for the gallery, the live card and the panel, in light and dark. Names given on
the command line are taken alone.
"""

from __future__ import annotations

import io
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from PIL import Image
from playwright.sync_api import sync_playwright

from tests.browser.chromium import launch
from tests.lab.harness import Lab
from tests.lab.servers import LabServer

ROOT = Path(__file__).resolve().parent.parent
TARGET = ROOT / "docs" / "images"
DATA = ROOT / "notebooks" / "data"
MAX_BYTES = 150_000
COLOURS = (256, 160, 112, 80, 56)
THEMES = ("light", "dark")
SETUP = (
    "%load_ext wan_notebook\n"
    "from PIL import Image\n"
    "cat, coffee = Image.open('data/chelsea.jpg'), Image.open('data/coffee.jpg')"
)
CELL = "%%wan -i coffee -i cat --seed 7,8 --as table\nThe cat from image 2 looks at the cup of coffee from image 1"


def gallery(lab: Lab, theme: str) -> Image.Image:
    """A cell with its lasting result."""
    _open(lab, "gallery.ipynb", [SETUP, CELL], "quick", theme)
    lab.run_all()
    lab.wait_css("a[rel=noopener] img[alt^='table[1]']")
    return _cell(lab, 1)


def card(lab: Lab, theme: str) -> Image.Image:
    """The same cell while its job runs."""
    _open(lab, "card.ipynb", [SETUP, CELL.replace("7,8", "9")], "slow", theme)
    lab.run_all(wait=False)
    lab.wait_text(1, "running")
    lab.page.wait_for_timeout(4_000)  # so that it has something to tell: elapsed time, progress, an estimate
    return _cell(lab, 1)


def panel(lab: Lab, theme: str) -> Image.Image:
    """The panel with a request that can be sent, results, and a job that runs."""
    _open(lab, "panel.ipynb", [SETUP + "\nmood = 'curious'", "%wan panel"], "paced", theme, height=1500)
    lab.run_all()
    page, prompt = lab.page, lab.page.locator(".wan-f-prompt textarea")
    for expression in ("coffee", "cat"):
        page.locator(f".wan-choice[data-expression={expression}]").click()
    for text, seed in (
        ("The {mood} cat from image 2 beside the cup from image 1", "5..8"),
        ("The cup, in ink", "3,18"),
    ):
        prompt.fill(text)
        page.locator(".wan-f-seed input").fill(seed)
        _generate(lab)
    page.locator(".wan-gallery, .wan-panel").get_by_text("Stack seeds").first.click()
    page.locator(".wan-tile img").nth(5).wait_for(timeout=90_000)
    prompt.fill("The {mood} cat from image 2 looks at the cup from image 1, morning light")
    page.locator(".wan-f-seed input").fill("7")
    _generate(lab)
    page.locator(".wan-tile").nth(1).click()
    page.locator(".wan-jobrow", has_text="running").first.wait_for()
    page.wait_for_timeout(1_200)
    page.mouse.move(5, 5)
    return Image.open(io.BytesIO(page.locator(".wan-panel").first.screenshot())).convert("RGB")


def _generate(lab: Lab) -> None:
    lab.page.wait_for_timeout(700)  # the form is read after a pause in typing
    lab.page.locator(".wan-run-button[aria-disabled=false]").click()


SHOTS: dict[str, Callable[[Lab, str], Image.Image]] = {"gallery": gallery, "card": card, "panel": panel}


def _open(lab: Lab, name: str, cells: list[str], kernel: str, theme: str, height: int = 1100) -> None:
    shutil.copytree(DATA, lab.folder / "data", dirs_exist_ok=True)
    lab.write(name, cells, kernel=kernel)
    lab.page.set_viewport_size({"width": 1100, "height": height})
    lab.open(name)
    lab.theme(theme)
    lab.page.evaluate(
        "() => { const c = window.jupyterapp.commands; const s = window.jupyterapp.shell;"
        " if (!s.leftCollapsed) c.execute('application:toggle-left-area'); }"
    )


def _cell(lab: Lab, index: int) -> Image.Image:
    cell = lab.cell(index)
    lab.page.mouse.move(5, 5)
    # Another cell is the active one: no toolbar, no blue bar.
    lab.page.evaluate("() => { window.jupyterapp.shell.currentWidget.content.activeCellIndex = 0; }")
    cell.scroll_into_view_if_needed()
    lab.page.wait_for_timeout(400)
    return Image.open(io.BytesIO(cell.screenshot())).convert("RGB")


def compressed(picture: Image.Image) -> bytes:
    """Return a PNG of at most `MAX_BYTES`, with as many colours as that allows."""
    data = b""
    for colours in COLOURS:
        buffer = io.BytesIO()
        reduced = picture.quantize(colours, method=Image.Quantize.MEDIANCUT, kmeans=4, dither=Image.Dither.NONE)
        reduced.save(buffer, "PNG", optimize=True)
        data = buffer.getvalue()
        if len(data) <= MAX_BYTES:
            return data
    raise SystemExit(f"a screenshot of {picture.size} needs {len(data)} bytes; make it smaller")


def main() -> None:
    """Take the shots that are named, or all."""
    names = sys.argv[1:] or list(SHOTS)
    TARGET.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="wan-shots-") as folder, sync_playwright() as playwright:
        server = LabServer(Path(folder)).start()
        try:
            for kernel, seconds in (("quick", "0.5"), ("paced", "9"), ("slow", "14")):
                server.add_kernel(kernel, Path(sys.executable), {"WAN_SIMULATOR_SECONDS": seconds})
            browser = launch(playwright)
            for name in names:
                for theme in THEMES:
                    lab = Lab(server, browser)
                    try:
                        data = compressed(SHOTS[name](lab, theme))
                    finally:
                        lab.close()
                    path = TARGET / f"{name}-{theme}.png"
                    path.write_bytes(data)
                    print(f"{path.relative_to(ROOT)}  {len(data) // 1000} kB", flush=True)  # noqa: T201
            browser.close()
        finally:
            server.stop()


if __name__ == "__main__":
    main()
