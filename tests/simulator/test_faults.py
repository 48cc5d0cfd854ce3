"""Every fault of the table does what it says, on a real socket and in process."""

from __future__ import annotations

import asyncio
import contextlib
import re
import socket
import time

import httpx
import pytest

from wan_notebook.simulator import SimulatorConfig, create_app
from wan_notebook.simulator.faults import FAULTS, PHASES, FaultPlan, describe_faults, parse_fault
from wan_notebook.simulator.server import serve_in_thread

PICTURE = b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 40
SUBMIT = "/api/v1/services/aigc/image-generation/generation"
TASKS = "/api/v1/tasks"

CASES = [(phase, fault.name) for fault in FAULTS for phase in fault.phases]
# What a bare client sees: an exception of the socket, a status with something in its body, or a time-out.
SEEN_ON_A_SOCKET = {
    "reset_before": httpx.TransportError,  # while reading, or already while sending
    "reset_after": httpx.ReadError,
    "reset_mid_body": httpx.ReadError,
    "fin_after": httpx.RemoteProtocolError,
    "cut_body": httpx.RemoteProtocolError,
    "cut_early": httpx.RemoteProtocolError,
    "stall_before": httpx.ReadTimeout,
    "stall_after": httpx.ReadTimeout,
    "stall_mid_body": httpx.ReadTimeout,
    "redirect": 302,
    "redirect_away": 302,
    "expired_url": 403,
}
STALLED_S = 0.1  # how long a test waits for an answer that never comes
SAME_IN_THE_END = {"no_range", "trickle"}
NOTHING_DONE = re.compile(r"reset_before|stall_before|\d{3}(_html|_retry_after.*)?|redirect.*|html_200|error_200")


@pytest.fixture(scope="module")
def app():
    """One application for all the cases; each arms its own fault."""
    return create_app(SimulatorConfig(seconds=0, queries_per_s=0, fixed_picture=PICTURE, fault_pace_s=0.001))


@pytest.fixture(scope="module")
def client(app):
    """A plain client of that application on a port."""
    with (
        serve_in_thread(app) as url,
        httpx.Client(base_url=url, timeout=20, headers={"Authorization": "Bearer k"}) as client,
    ):
        yield client


@pytest.fixture(scope="module")
def storage():
    """A client for result files, which holds no key."""
    with httpx.Client(timeout=20) as client:
        yield client


@pytest.fixture
def body(request_of):
    """A request for one picture."""
    return request_of("dashscope", max_images=1)


def submit(client, body, **options):
    """Submit with a plain POST."""
    return client.post(SUBMIT, **submission(body), **options)


def submission(body):
    """Give body and header of a submit."""
    return {"json": body, "headers": {"X-DashScope-Async": "enable"}}


def picture_url(client, task_id, urls_of):
    """Poll and return the URL of the only picture."""
    return urls_of("dashscope", client.get(f"{TASKS}/{task_id}").json())[0]


@pytest.fixture
def call(client, storage, body, urls_of):
    """Prepare a request of a phase; return a function that sends it, with a time-out if one is given."""

    def prepare(phase):
        if phase == "submit":
            return lambda **options: submit(client, body, **options)
        if phase == "list":
            return lambda **options: client.get(TASKS, **options)
        task_id = submit(client, body).json()["output"]["task_id"]
        if phase == "download":
            url = picture_url(client, task_id, urls_of)
            return lambda **options: storage.get(url, **options)
        if phase == "cancel":
            return lambda **options: client.post(f"{TASKS}/{task_id}/cancel", **options)
        return lambda **options: client.get(f"{TASKS}/{task_id}", **options)

    return prepare


@pytest.mark.parametrize(("phase", "name"), CASES)
def test_each_fault_strikes_once_as_its_line_says(app, call, phase, name):
    """The next request of the phase sees the fault, the one after it does not; tasks are created as told."""
    send = call(phase)
    sound = send()
    simulator = app.state.simulator
    created, struck = simulator.tasks_created, simulator.faults.struck[f"{phase}.{name}"]
    simulator.add_fault(f"{phase}.{name}")
    expected = SEEN_ON_A_SOCKET.get(name) or int(re.match(r"\d{3}|", name)[0] or 200)
    if isinstance(expected, int):
        response = send()
        assert response.status_code == (
            400 if phase == "cancel" and expected == 200 and "html" not in name else expected
        )
        assert (response.status_code, response.content) != (sound.status_code, sound.content) or name in SAME_IN_THE_END
    else:
        options = {"timeout": STALLED_S} if expected is httpx.ReadTimeout else {}
        with pytest.raises(expected):
            send(**options)
    assert simulator.faults.struck[f"{phase}.{name}"] == struck + 1
    done = phase == "submit" and not NOTHING_DONE.fullmatch(name)
    if name != "expired_url":  # that one is for good, and has its own test
        assert send().status_code == sound.status_code
    # Counted only now: when a client gave up waiting, the server may not have got far yet.
    assert simulator.tasks_created == created + done + (phase == "submit")


def test_the_table_is_complete():
    """Each row of the fault matrix that a server can cause is in the table, for its phases."""
    known = {(phase, fault.name) for fault in FAULTS for phase in fault.phases}
    everywhere = "reset_before reset_after fin_after 400 401 403 404 429 429_retry_after 500 503 502_html 504_html"
    matrix = {
        "submit": f"{everywhere} 500_after truncated_json truncated_json_early cut_body no_task_id error_200 html_200"
        " trickle stall_before stall_after redirect",
        "poll": f"{everywhere} truncated_json cut_body html_200 trickle stall_after redirect unknown failed canceled"
        " fewer_images no_urls",
        "download": f"{everywhere} trickle stall_mid_body reset_mid_body redirect truncate html_200 corrupt_crc bomb"
        " expired_url",
    }
    assert {(phase, name) for phase, names in matrix.items() for name in names.split()} <= known


@pytest.mark.parametrize(("cut", "has_id"), [("cut_body", True), ("cut_early", False)])
def test_a_cut_answer_shows_the_task_id_or_not(app, client, body, cut, has_id):
    """The bytes before the cut hold the id of the task that was created, or are too few."""
    app.state.simulator.add_fault(f"submit.{cut}")
    received = b""
    with contextlib.suppress(httpx.RemoteProtocolError), client.stream("POST", SUBMIT, **submission(body)) as response:
        for chunk in response.iter_raw():
            received += chunk
    assert len(received) < int(response.headers["content-length"])
    match = re.search(rb'"task_id":"([0-9a-f-]{36})"', received)
    assert bool(match) == has_id
    if match:
        assert client.get(f"{TASKS}/{match[1].decode()}").json()["output"]["task_status"] == "SUCCEEDED"


def test_an_expired_url_is_dead_and_a_poll_gives_a_fresh_one(app, client, storage, body, urls_of):
    """The voided URL stays void; the next poll's URL works."""
    task_id = submit(client, body).json()["output"]["task_id"]
    url = picture_url(client, task_id, urls_of)
    app.state.simulator.add_fault("download.expired_url")
    assert [storage.get(url).status_code for _ in range(2)] == [403, 403]
    fresh = picture_url(client, task_id, urls_of)
    assert fresh != url
    assert storage.get(fresh).content == PICTURE


def test_a_failure_is_for_good(app, client, body):
    """A task that a fault made fail stays failed, and one that was cancelled stays so."""
    for fault, status in (("failed", "FAILED"), ("canceled", "CANCELED")):
        task_id = submit(client, body).json()["output"]["task_id"]
        app.state.simulator.add_fault(f"poll.{fault}")
        seen = [client.get(f"{TASKS}/{task_id}").json()["output"]["task_status"] for _ in range(2)]
        assert seen == [status, status]


def test_a_fault_of_successes_waits_for_one(make_caller, request_of, data_url, urls_of):
    """fewer_images and no_urls let polls of running tasks pass."""
    caller = make_caller()
    for dialect in ("gateway", "dashscope"):
        task_id = caller.task(dialect, request_of(dialect, images=[data_url()], n=2))
        caller.simulator.add_fault("fewer_images")
        assert caller.poll(dialect, task_id).status_code == 200
        caller.clock.advance(10)
        counts = [len(urls_of(dialect, caller.poll(dialect, task_id).json())) for _ in range(2)]
        assert counts == [1, 2]


@pytest.mark.parametrize("dialect", ["gateway", "dashscope"])
@pytest.mark.parametrize("name", ["unknown", "failed", "failed_plain", "canceled", "odd_status", "no_urls"])
def test_polls_lie_in_both_dialects(caller, request_of, dialect, name):
    """What a poll fault says differs from the truth, in the dialect's own shape."""
    task_id = caller.task(dialect, request_of(dialect, max_images=1))
    caller.clock.advance(10)
    truth = caller.poll(dialect, task_id).json()
    caller.simulator.add_fault(f"poll.{name}")
    lie = caller.poll(dialect, task_id).json()
    truth.pop("request_id", None)
    lie.pop("request_id", None)
    assert lie != truth


def test_a_redirect_to_the_same_host_leads_to_the_answer(app, client, storage, body, urls_of):
    """Followed, the redirect of a download gives the file."""
    task_id = submit(client, body).json()["output"]["task_id"]
    app.state.simulator.add_fault("download.redirect")
    url = picture_url(client, task_id, urls_of)
    assert storage.get(url, follow_redirects=True).content == PICTURE


def test_a_redirect_to_another_host_catches_a_key(app, client, body):
    """A client that carries its key to the other host name is found out; a file there needs none."""
    task_id = submit(client, body).json()["output"]["task_id"]
    app.state.simulator.add_fault("poll.redirect_away")
    location = client.get(f"{TASKS}/{task_id}").headers["location"]
    assert httpx.URL(location).host == "localhost"
    leaked = len(app.state.simulator.keys_leaked)
    client.get(location.replace("localhost", "127.0.0.1"))
    assert len(app.state.simulator.keys_leaked) == leaked + 1


def test_retry_after_is_seconds_or_a_date(make_caller):
    """Both forms of the header say the configured delay."""
    caller = make_caller(retry_after_s=7)
    caller.simulator.add_fault("poll.429_retry_after")
    assert caller.poll("dashscope", "x").headers["retry-after"] == "7"
    caller.simulator.add_fault("poll.429_retry_after_date")
    assert caller.poll("dashscope", "x").headers["retry-after"] == "Fri, 09 Jan 2026 09:52:11 GMT"


@pytest.mark.parametrize("name", ["reset_before", "reset_after", "fin_after", "reset_mid_body"])
def test_in_process_a_broken_connection_is_an_exception(caller, request_of, name):
    """Where there is no socket, the client sees ConnectionResetError; the task is made or not, as on a socket."""
    caller.simulator.add_fault(f"submit.{name}")
    with pytest.raises(ConnectionResetError):
        caller.submit("gateway", request_of())
    assert caller.simulator.tasks_created == (name != "reset_before")


@pytest.mark.parametrize("name", ["cut_body", "cut_early"])
def test_in_process_a_cut_body_is_shorter_than_promised(caller, request_of, name):
    """Where there is no socket, a cut shows as a body that does not fill its Content-Length."""
    caller.simulator.add_fault(f"submit.{name}")
    response = caller.submit("gateway", request_of())
    assert len(response.content) < int(response.headers["content-length"])


@pytest.mark.parametrize("name", ["stall_before", "stall_after", "stall_mid_body"])
def test_in_process_a_stalled_answer_waits_until_the_caller_gives_up(caller, name):
    """Where there is no socket, the request simply does not end; cancelling it ends it."""
    caller.simulator.add_fault(f"poll.{name}")

    async def give_up():
        transport = httpx.ASGITransport(app=caller.app)
        async with httpx.AsyncClient(transport=transport, base_url="http://simulator") as client:
            await asyncio.wait_for(client.get(f"{TASKS}/x", headers=caller.headers), 0.05)

    with pytest.raises(TimeoutError):
        asyncio.run(give_up())


class TestPlan:
    """How faults are named and counted."""

    @pytest.mark.parametrize(
        ("text", "name", "phases", "left", "skip"),
        [
            ("503", "503", PHASES, 1, 0),
            ("poll.503:2", "503", ("poll",), 2, 0),
            ("reset_after_submit:1", "reset_after", ("submit",), 1, 0),
            ("download.truncate:always", "truncate", ("download",), None, 0),
            ("unknown:3@1", "unknown", ("poll",), 3, 1),
        ],
    )
    def test_names(self, text, name, phases, left, skip):
        """A name may carry its phase before or after it, a count, and how many requests pass first."""
        armed = parse_fault(text)
        assert (armed.fault.name, armed.phases, armed.left, armed.skip) == (name, phases, left, skip)

    @pytest.mark.parametrize("text", ["", "nope", "poll.nope", "submit.bomb", "503:x", "503:-1", "503@x"])
    def test_nonsense_is_refused(self, text):
        """What the table does not have, or has for another phase, is an error."""
        with pytest.raises(ValueError, match="fault"):
            parse_fault(text)

    def test_counts_and_skips(self):
        """A fault strikes as often as told, after as many as told, and only in its phase."""
        plan = FaultPlan(("poll.503:2@1", "submit.500"))
        struck = [bool(plan.take(phase)) for phase in ("download", "poll", "poll", "poll", "poll", "submit", "submit")]
        assert struck == [False, False, True, True, False, True, False]

    def test_help_lists_every_fault(self):
        """The table that --help prints is the table."""
        text = describe_faults()
        assert all(f"  {fault.name} " in text and fault.about in text for fault in FAULTS)


def test_a_server_with_stalled_answers_stops_at_once():
    """A connection that a fault holds open, with a client that waits on, does not hold up the end."""
    app = create_app(SimulatorConfig(faults=("poll.stall_before",)))
    with serve_in_thread(app) as url:
        address = httpx.URL(url)
        waiting = socket.create_connection((address.host, address.port))
        waiting.sendall(f"GET {TASKS}/x HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        while not app.state.simulator.faults.struck["poll.stall_before"]:
            httpx.get(url)  # an answered request, so that the loop has turned
        started = time.monotonic()
    assert time.monotonic() - started < 5
    waiting.close()
