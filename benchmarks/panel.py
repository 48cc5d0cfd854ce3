"""Time the panel: thumbnails of large pictures to the screen, its opening in JupyterLab, scrolling 500 pictures.

``python benchmarks/panel.py [PICTURES]``, 200 by default. Needs Chromium; figures are of this machine, one run.
"""

from __future__ import annotations

import hashlib
import io
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from PIL import Image
from playwright.sync_api import sync_playwright

from tests.browser.chromium import BrowserNotFoundError, launch
from tests.browser.page import WidgetPage
from tests.browser.panel_page import mount
from tests.lab.harness import Lab
from tests.lab.servers import LabServer
from wan_notebook.ledger import JobDraft, PictureRecord
from wan_notebook.panel import Panel
from wan_notebook.session import Session
from wan_notebook.settings import Sources
from wan_notebook.states import JobState
from wan_notebook.views.gallery_widget import Gallery

SIDE_PX = 2048
SCROLLED = 500
STATIC = Path(__file__).parent.parent / "wan_notebook/views/static"
_WAY = (JobState.SENDING, JobState.ACCEPTED, JobState.RUNNING, JobState.SUCCEEDED, JobState.SAVED)
_DECODED = """async count => {
  const shown = () => document.querySelectorAll('.wan-tile img[src]').length, late = performance.now() + 60_000;
  const grid = document.querySelector('.wan-grid');
  while (shown() < count) {  // a tile gets its picture when it comes near
    if (performance.now() > late) throw new Error(`${shown()} of ${count} thumbnails were shown`);
    grid.scrollTop = (grid.scrollTop + grid.clientHeight) % grid.scrollHeight;
    await new Promise(requestAnimationFrame);
  }
  await Promise.all([...document.querySelectorAll('.wan-tile img[src]')].map(i => i.decode()));
  await new Promise(requestAnimationFrame);
}"""
_SCROLL = """async () => {
  const grid = document.querySelector('.wan-grid'), frames = [];
  let last = performance.now();
  while (grid.scrollTop + grid.clientHeight < grid.scrollHeight - 2) {
    grid.scrollTop += 90;
    await new Promise(requestAnimationFrame);
    const now = performance.now();
    frames.push(now - last);
    last = now;
  }
  return frames;
}"""


def fill(session: Session, count: int) -> int:
    """Put saved jobs with one large picture each into the store; return the files' bytes."""
    home = session.need_home()
    total = 0
    for number in range(count):
        data = large_png(number)
        file = home.store.add(f"2026-11-24/{number}.png", data)
        total += len(data)
        (job,) = home.ledger.create_jobs(
            [JobDraft(provider="gateway", model="wan2.6-image", mode="edit", prompt=f"picture {number}", seed=number,
                      request={"prompt": number}, fp_asked=f"a{number}", fp_sent=f"s{number}")]
        )  # fmt: skip
        record = PictureRecord(idx=0, sha256=hashlib.sha256(data).hexdigest(), file=file.file,
                               width_px=SIDE_PX, height_px=SIDE_PX, size_bytes=len(data), mime="image/png",
                               saved_at=time.time())  # fmt: skip
        for state in _WAY:
            home.ledger.transition(job.id, state, pictures=[record] if state is JobState.SAVED else ()).result(30)
    return total


def large_png(number: int) -> bytes:
    """Return a picture of 2048² pixels that no other number gives."""
    tile = Image.effect_noise((64, 64), 20 + number % 60).convert("RGB")
    tile.putpixel((0, 0), (number % 256, number // 256, 7))
    buffer = io.BytesIO()
    tile.resize((SIDE_PX, SIDE_PX)).save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


def thumbnails(session: Session, browser: Any, count: int) -> None:
    """Time from the page's wish to all thumbnails painted, the small copies not made yet."""
    panel = Panel(session, variables={})
    feed = panel._gallery  # noqa: SLF001 - its messages are what is timed
    feed._update()  # noqa: SLF001
    sent: list[tuple[dict[str, Any], list[bytes]]] = []
    feed.widget.send = lambda content, buffers=None: sent.append((content, buffers or []))
    keys = [item["id"] for item in feed.widget.items]
    for name in ("first time", "again, from the cache"):
        sent.clear()
        start = time.perf_counter()
        for at in range(0, len(keys), 24):  # as a page asks: several messages, answered by several threads
            feed.widget._receive(None, {"kind": "thumbs", "keys": keys[at : at + 24]}, [])  # noqa: SLF001
        while sum(len(content["keys"]) for content, _ in list(sent)) < count:
            time.sleep(0.001)
        kernel_ms = (time.perf_counter() - start) * 1e3
        moved = sum(len(data) for _, buffers in sent for data in buffers)
        print(f"  {count} thumbnails of {SIDE_PX}²px, {name:22} kernel {kernel_ms:7.0f} ms  {moved / 1e6:.2f} MB sent")
    page = WidgetPage(browser, STATIC)
    widget = mount(page, Gallery, items=feed.widget.items, total=count)
    start = time.perf_counter()
    for content, buffers in sent:
        widget.receive(content, *buffers)
    page.page.evaluate(_DECODED, count)
    print(f"  {'':29} to painted, scrolled through    {(time.perf_counter() - start) * 1e3:7.0f} ms")
    page.close()
    panel.close()


def scrolling(browser: Any) -> None:
    """Scroll 500 pictures from top to bottom and print the frames' times."""
    page = WidgetPage(browser, STATIC)
    items = [{"id": f"{k:04x}/0", "stack": str(k), "seed": k, "star": False, "rej": False, "kind": "image",
              "label": f"picture {k}", "expr": "", "alt": "", "facts": []} for k in range(SCROLLED)]  # fmt: skip
    start = time.perf_counter()
    widget = mount(page, Gallery, items=items, total=SCROLLED)
    drawn_ms = (time.perf_counter() - start) * 1e3
    buffer = io.BytesIO()
    Image.effect_noise((256, 256), 60).convert("RGB").save(buffer, "WEBP", quality=70)
    for at in range(0, SCROLLED, 50):
        widget.receive({"kind": "thumbs", "keys": [i["id"] for i in items[at : at + 50]]}, *[buffer.getvalue()] * 50)
    frames = sorted(page.page.evaluate(_SCROLL))
    p95 = frames[int(len(frames) * 0.95)]
    print(f"  {SCROLLED} pictures: mounted {drawn_ms:.0f} ms; scrolled in {len(frames)} frames: "
          f"median {statistics.median(frames):.1f} ms, 95 % {p95:.1f} ms, most {frames[-1]:.1f} ms")  # fmt: skip
    page.close()


def opening(session: Session, browser: Any, folder: Path) -> None:
    """Time the panel's making in the kernel, and from the cell's run to a panel that can be used."""
    times = []
    for _ in range(5):
        start = time.perf_counter()
        panel = Panel(session, variables={})
        times.append((time.perf_counter() - start) * 1e3)
        panel.close()
    print(f"  opening: made in the kernel in {statistics.median(times):.0f} ms (first {times[0]:.0f} ms)")
    server = LabServer(folder).start()
    try:
        lab = Lab(server, browser)
        lab.write("a.ipynb", ["%load_ext wan_notebook", "%wan panel", "%wan panel"])
        lab.open("a.ipynb")
        lab.run_cell(0)
        for cell, name in ((1, "first time"), (2, "second one")):
            start = time.perf_counter()
            lab.run_cell(cell, wait=False)
            lab.output(cell).locator(".wan-run-button").wait_for()
            lab.output(cell).locator(".wan-note-count").first.wait_for()
            print(f"  opening in JupyterLab, {name}: {(time.perf_counter() - start) * 1e3:.0f} ms from run to usable")
        lab.save()
        size = len(str(lab.saved()["cells"][1]["outputs"]))
        print(f"  a panel in the saved notebook: {size} bytes; its pictures stay in the kernel")
        lab.close()
    finally:
        server.stop()


def main(count: int = 200) -> None:
    """Run all of them."""
    with tempfile.TemporaryDirectory() as name, sync_playwright() as playwright:
        folder = Path(name)
        env = {"WAN_HOME": str(folder / "wan-pictures"), "WAN_PROVIDER": "simulator"}
        session = Session(Sources(env=env, cwd=folder, config_path=folder / "config.json"))
        try:
            browser = launch(playwright)
        except BrowserNotFoundError as error:
            print(f"  skipped: {error}")
            return
        print(f"  {count} files of {fill(session, count) / 1e6 / count:.1f} MB each")
        thumbnails(session, browser, count)
        scrolling(browser)
        opening(session, browser, folder / "lab")
        browser.close()
        session.close()


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 200)
