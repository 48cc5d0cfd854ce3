"""Find a Chromium or Chrome on this machine, and start it.

Needs only the standard library until `launch` is called, so that `make` can ask
`python -m tests.browser.chromium` for the browser's path before anything else works.
"""

import os
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
MAC_APPS = (
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
)
# No sandbox: a container's root cannot have one. No resolver, no proxy: a page reaches 127.0.0.1 and nothing else.
ARGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--no-proxy-server",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost",
)


class BrowserNotFoundError(RuntimeError):
    """No Chromium or Chrome is installed, or `WAN_TEST_BROWSER` names none."""


def find_browser(environ: Mapping[str, str] = os.environ, apps: tuple[str, ...] = MAC_APPS) -> Path:
    """Return the path of the browser to test with: `WAN_TEST_BROWSER`, else one on PATH, else a macOS app."""
    if named := environ.get("WAN_TEST_BROWSER"):
        found = shutil.which(named, path=environ.get("PATH"))
        if not found:
            raise BrowserNotFoundError(f"WAN_TEST_BROWSER: {named!r} cannot be run as a program.")
        return Path(found)
    for name in NAMES:
        if found := shutil.which(name, path=environ.get("PATH", "")):
            return Path(found)
    for app in apps:
        if os.access(app, os.X_OK):
            return Path(app)
    raise BrowserNotFoundError(
        "No Chromium or Chrome was found (PATH: " + ", ".join(NAMES) + "; macOS applications). "
        "Install one (Debian: apt-get install chromium), or set WAN_TEST_BROWSER to its path."
    )


def launch(playwright: Any, **options: Any) -> Any:
    """Start the machine's browser under Playwright, headless."""
    return playwright.chromium.launch(executable_path=str(find_browser()), args=list(ARGS), **options)


if __name__ == "__main__":
    try:
        print(find_browser())
    except BrowserNotFoundError as problem:
        sys.exit(str(problem))
