"""The simulator on a port, and its command line."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from wan_notebook.simulator import SimulatorConfig, create_app
from wan_notebook.simulator.__main__ import main
from wan_notebook.simulator.faults import FAULTS
from wan_notebook.simulator.server import bind, serve_in_thread

KEY = {"Authorization": "Bearer sk-test"}


def test_starts_quickly_and_stops_cleanly():
    """A server in a thread is up at once, and its port is free again at the end."""
    started = time.monotonic()
    with serve_in_thread(create_app(SimulatorConfig())) as url:
        assert httpx.get(f"{url}/api/v1/tasks/x", headers=KEY).status_code == 200
    assert time.monotonic() - started < 5
    with pytest.raises(httpx.ConnectError):
        httpx.get(url)


def test_result_urls_name_the_port(request_of, urls_of):
    """A picture can be fetched from the URL that the poll gives, as it is."""
    app = create_app(SimulatorConfig(seconds=0, fixed_picture=b"picture"))
    with serve_in_thread(app) as url, httpx.Client(base_url=url) as client:
        reply = client.post("/model/v1/generation", json=request_of(max_images=1), headers=KEY).json()
        done = client.get(f"/model/v1/generation/task/{reply['id']}", headers=KEY).json()
        (picture_url,) = urls_of("gateway", done)
        assert picture_url.startswith(f"{url}/results/")
        assert client.get(picture_url).content == b"picture"


def test_connections_are_counted_and_kept():
    """Many requests of one client use one connection, and a test can see that."""
    app = create_app(SimulatorConfig(queries_per_s=0))
    with serve_in_thread(app) as url, httpx.Client(base_url=url) as client:
        for _ in range(20):
            client.get("/api/v1/tasks/x", headers=KEY)
    assert app.state.simulator.connections == 1


def test_answers_are_not_held_back():
    """The socket names its protocol: without it asyncio leaves Nagle's algorithm on, 40 ms an answer."""
    listener = bind()
    assert listener.proto == socket.IPPROTO_TCP
    listener.close()


def test_many_clients_at_once(request_of):
    """Concurrent submits are each a task."""
    app = create_app(SimulatorConfig())
    with serve_in_thread(app) as url, httpx.Client(base_url=url) as client, ThreadPoolExecutor(8) as pool:
        replies = list(
            pool.map(lambda _: client.post("/model/v1/generation", json=request_of(), headers=KEY), range(40))
        )
    assert len({reply.json()["id"] for reply in replies}) == 40 == app.state.simulator.tasks_created


@pytest.fixture
def run_module():
    """Start the module as a process; stop what is still running at the end."""
    processes = []

    def run(*arguments):
        command = [sys.executable, "-m", "wan_notebook.simulator", *arguments]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        processes.append(process)
        return process

    yield run
    for process in processes:
        process.kill()
        process.communicate()


def test_prints_its_base_url_alone_on_the_first_line(run_module, tmp_path, request_of):
    """Scripts read the URL from the first line; options take effect; interrupting ends it without a traceback."""
    process = run_module("--port", "0", "--seconds", "0", "--price", "0.05", "--key", "sk-a", "--fault", "poll.503",
                         "--state", str(tmp_path / "state.db"))  # fmt: skip
    url = process.stdout.readline().strip()
    assert url.startswith("http://127.0.0.1:")
    with httpx.Client(base_url=url) as client:
        assert client.post("/model/v1/generation", json=request_of(), headers=KEY).status_code == 401
        key = {"Authorization": "Bearer sk-a"}
        task_id = client.post("/model/v1/generation", json=request_of(max_images=1), headers=key).json()["id"]
        replies = [client.get(f"/model/v1/generation/task/{task_id}", headers=key) for _ in range(2)]
    assert replies[0].status_code == 503
    assert replies[1].json()["usage"]["cost"] == "0.05"
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=20)
    assert (out, err) == ("", "")
    assert (tmp_path / "state.db").exists()


def test_help_lists_the_faults(capsys):
    """`--help` prints every fault."""
    with pytest.raises(SystemExit) as stop:
        main(["--help"])
    assert stop.value.code == 0
    printed = capsys.readouterr().out
    assert all(fault.name in printed for fault in FAULTS)


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--fault", "nope"], "nope"),
        (["--seconds", "-1"], "seconds"),
        (["--price", "free"], "price"),
        (["--port", "99999"], "99999"),
        (["--state", "/dev/null/state.db"], "/dev/null/state.db"),
    ],
)
def test_nonsense_on_the_command_line_is_named(capsys, arguments, named):
    """A wrong value ends with status 2 and a line that names it."""
    with pytest.raises(SystemExit) as stop:
        main(arguments)
    assert stop.value.code == 2
    assert named in capsys.readouterr().err.splitlines()[-1]


def test_a_port_that_is_taken_is_named(capsys):
    """A port that somebody else has is an error that offers another."""
    listener = bind()
    try:
        with pytest.raises(SystemExit):
            main(["--port", str(listener.getsockname()[1])])
    finally:
        listener.close()
    assert "--port 0" in capsys.readouterr().err


def test_without_uvicorn_the_hint_is_the_last_word(capsys, monkeypatch):
    """Where the optional web server is missing, the error ends with the command that installs it."""
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    monkeypatch.delitem(sys.modules, "wan_notebook.simulator.server")
    with pytest.raises(SystemExit):
        main(["--port", "0"])
    assert capsys.readouterr().err.rstrip().endswith('pip install "wan-notebook[simulator]"')
