"""JupyterLab, Notebook 7 and Voilà as processes of their own: private folders, a free port, no token, no news."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from tests.environment import KEPT, PREFIXES, ROOT, private_environment

# Settings without which a test would wait for toasts, read an empty text from an output that is scrolled away, or get
# no completions because the first ones take the kernel more than a second.
OVERRIDES: dict[str, dict[str, Any]] = {
    "@jupyterlab/apputils-extension:notification": {
        "fetchNews": "false",
        "checkForUpdates": False,
        "doNotDisturbMode": True,
    },
    "@jupyterlab/apputils-extension:themes": {"theme": "JupyterLab Light", "adaptive-theme": False},
    "@jupyterlab/completer-extension:manager": {"providerTimeout": 20_000},
    "@jupyterlab/notebook-extension:tracker": {"windowingMode": "none"},
    "@jupyterlab/docmanager-extension:plugin": {"autosave": False},  # a test says itself when it saves
}


def clean_environment(home: Path, extra: Mapping[str, str]) -> dict[str, str]:
    """Return an environment without anybody's settings, with private folders, for a server and its kernels."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(PREFIXES) or k in KEPT}
    python_path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    bin_path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    private = {**private_environment(home), "PYTHONPATH": python_path, "PATH": bin_path}
    private["JUPYTER_PREFER_ENV_PATH"] = "0"  # else the environment's own "python3" hides the one that is written here
    return {**kept, **private, "PYDEVD_DISABLE_FILE_VALIDATION": "1", "WAN_PROVIDER": "simulator", **extra}


def write_kernelspec(data_dir: Path, name: str, python: Path, env: Mapping[str, str]) -> None:
    """Register a kernel that runs `python` under `name`, with extra environment variables."""
    folder = data_dir / "kernels" / name
    folder.mkdir(parents=True, exist_ok=True)
    spec = {
        "argv": [str(python), "-Xfrozen_modules=off", "-m", "ipykernel_launcher", "-f", "{connection_file}"],
        "display_name": f"Python ({name})",
        "language": "python",
        "env": dict(env),
    }
    (folder / "kernel.json").write_text(json.dumps(spec), encoding="utf-8")


class Server:
    """One Jupyter server process; `url` is its base, `root` the folder that it serves."""

    arguments: tuple[str, ...] = ()  # after `python -m`
    ready = ("/api/status", "started")  # a path, and what this server answers there, not another that took the port
    page_path = ""
    forgiven: tuple[str, ...] = ()  # patterns of the front end's own uncaught errors

    def __init__(self, folder: Path) -> None:
        self.root, self.home, self._log = folder / "root", folder / "home", folder / "server.log"
        self.env, self.url = clean_environment(self.home, {}), ""
        self._process: subprocess.Popen[bytes] | None = None
        settings = Path(self.env["JUPYTER_CONFIG_DIR"]) / "labconfig"
        for path in (self.root, self.home, settings):
            path.mkdir(parents=True, exist_ok=True)
        (settings / "default_setting_overrides.json").write_text(json.dumps(OVERRIDES), encoding="utf-8")
        self.add_kernel("python3", Path(sys.executable))

    def add_kernel(self, name: str, python: Path, env: Mapping[str, str] | None = None) -> str:
        """Register a further kernel; a page that is opened afterwards knows it."""
        write_kernelspec(Path(self.env["JUPYTER_DATA_DIR"]), name, python, env or {})
        return name

    def start(self) -> Self:
        """Start the process and wait until it answers; another port is tried if the first was just taken."""
        for _ in range(5):
            port = free_port()
            command = [sys.executable, "-m", *(a.format(port=port, root=self.root) for a in self.arguments)]
            with self._log.open("ab") as log:
                self._process = subprocess.Popen(
                    command, cwd=self.root, env=self.env, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                    start_new_session=True,
                )  # fmt: skip
            self.url = f"http://127.0.0.1:{port}"
            if self._answers(time.monotonic() + 60):
                return self
            self.stop()
        raise RuntimeError(f"{type(self).__name__} did not start:\n{self.log()[-3000:]}")

    def _answers(self, end: float) -> bool:
        path, words = self.ready
        while time.monotonic() < end and self._process and self._process.poll() is None:
            try:
                with urllib.request.urlopen(self.url + path, timeout=5) as answer:  # noqa: S310
                    return words in answer.read().decode()
            except OSError:
                time.sleep(0.1)
        return False

    def log(self) -> str:
        """Return what the server and its kernels wrote."""
        return self._log.read_text(errors="replace")

    def stop(self) -> None:
        """End the server and its kernels: politely, then the whole process group."""
        if self._process is None:
            return
        self._process.send_signal(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout=15)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)  # the group is ours: start_new_session
        self._process.wait(timeout=15)
        self._process = None


_ALLOW = ("--allow-root", "--no-browser", "--ServerApp.port={port}", "--ServerApp.port_retries=0")
_ALLOW += ("--ServerApp.ip=127.0.0.1", "--ServerApp.root_dir={root}", "--ServerApp.password=")
_ALLOW += ("--IdentityProvider.token=", "--KernelSpecManager.ensure_native_kernel=False")


class LabServer(Server):
    """JupyterLab."""

    arguments = ("jupyter", "lab", *_ALLOW, "--LabApp.news_url=", "--LabApp.expose_app_in_browser=True")
    page_path = "/lab/workspaces/{workspace}/tree/{notebook}?reset"


class NotebookServer(Server):
    """Notebook 7."""

    arguments = ("jupyter", "notebook", *_ALLOW, "--JupyterNotebookApp.expose_app_in_browser=True")
    page_path = "/notebooks/{notebook}"
    forgiven = (r"^Cannot read properties of undefined \(reading 'schema'\)$",)  # 7.6, on every page, empty ones too


class VoilaServer(Server):
    """Voilà: a notebook as a page, its cells run by the server while the page loads. Its front page is a list."""

    arguments = ("voila", "{root}", "--no-browser", "--Voila.ip=127.0.0.1", "--port={port}", "--debug")
    ready = ("/", "voila")
    page_path = "/voila/render/{notebook}"


def free_port() -> int:
    """Return a port that the system says is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
