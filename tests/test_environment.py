"""The guards under which every other test runs."""

import os
import socket
import urllib.error
import urllib.request
from pathlib import Path

import platformdirs
import pytest


@pytest.fixture(scope="module", autouse=True)
def _a_persons_settings() -> None:
    """Stand for a shell in which a key and a folder are set, before any test of this module begins."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("WAN_API_KEY", "DASHSCOPE_API_KEY", "WAN_PROVIDER", "WAN_HOME", "WAN_BUDGET"):
            patch.setenv(name, "from outside")
        yield


def test_no_settings_reach_a_test(tmp_path: Path) -> None:
    """Of the library's variables a test sees one; every folder of a person lies in the test's own."""
    ours = {k: v for k, v in os.environ.items() if k.startswith(("WAN_", "DASHSCOPE_")) and k != "WAN_TEST_BROWSER"}
    assert ours == {"WAN_HOME": str(tmp_path / "wan-pictures")}
    for folder in (Path.home(), Path(platformdirs.user_data_dir("x")), Path(platformdirs.user_config_dir("x"))):
        assert tmp_path in folder.parents
    assert Path.cwd() == tmp_path / "work"


@pytest.mark.parametrize("host", ["192.0.2.1", "example.org", "2001:db8::1"])
def test_another_machine_is_out_of_reach(host: str, network_attempts: list[str]) -> None:
    """Neither a connection nor a name look-up leaves this machine, and the refusal is no OSError."""
    with pytest.raises(RuntimeError, match=r"127\.0\.0\.1 only"):
        socket.create_connection((host, 80), timeout=1)
    with pytest.raises(RuntimeError, match=r"127\.0\.0\.1 only"):
        urllib.request.urlopen("http://" + (f"[{host}]" if ":" in host else host), timeout=1)
    with socket.socket() as line, pytest.raises(RuntimeError, match="192"):
        line.connect_ex(("192.0.2.1", 80))  # as event loops connect
    assert len(network_attempts) == 3
    network_attempts.clear()


def test_this_machine_is_in_reach() -> None:
    """A server on 127.0.0.1 answers; a closed port is the plain error that it is elsewhere."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        for host in ("127.0.0.1", "localhost"):
            socket.create_connection((host, port), timeout=5).close()
    with pytest.raises(urllib.error.URLError, match="refused"):
        urllib.request.urlopen(f"http://127.0.0.1:{port}", timeout=5)
