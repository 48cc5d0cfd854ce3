"""A real kernel to measure in, with a front end that looks alive (it could answer `input`)."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from jupyter_client.manager import KernelManager

Run = Callable[[str], str]


@contextmanager
def kernel(**env: str) -> Iterator[Run]:
    """Start a kernel on the simulator; yields a function that runs a cell and returns what it prints."""
    with tempfile.TemporaryDirectory() as home:
        private = {"WAN_PROVIDER": "simulator", "WAN_HOME": f"{home}/wan-pictures", "XDG_DATA_HOME": home}
        manager = KernelManager(kernel_name="python3")
        manager.start_kernel(env={**os.environ, **private, **env}, cwd=home, extra_arguments=["--log-level=ERROR"])
        client = manager.client()
        client.start_channels()
        client.wait_for_ready(timeout=60)

        def run(cell: str) -> str:
            printed: list[str] = []

            def hear(message: dict[str, object]) -> None:
                content = message["content"]
                assert isinstance(content, dict)
                if message["msg_type"] == "stream":
                    printed.append(content["text"])
                elif message["msg_type"] == "error":
                    raise RuntimeError("\n".join(content["traceback"]))

            client.execute_interactive(cell, allow_stdin=True, output_hook=hear, timeout=120)
            return "".join(printed)

        try:
            yield run
        finally:
            client.stop_channels()
            manager.shutdown_kernel(now=True)
