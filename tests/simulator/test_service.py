"""Limits, durations, settings and the state file: what holds for both dialects."""

from __future__ import annotations

import subprocess
import sys
import threading
from decimal import Decimal
from statistics import median

import pytest

from wan_notebook.simulator import SimulatorConfig, create_app
from wan_notebook.simulator.inputs import InputPicture
from wan_notebook.simulator.limiter import QueryLimiter
from wan_notebook.simulator.order import Order
from wan_notebook.simulator.store import KEPT_S, MemoryStore, SqliteStore
from wan_notebook.simulator.tasks import Task, TaskState


class TestQueryLimit:
    """At most 20 queries a second, all of an account together."""

    @pytest.mark.parametrize("dialect", ["gateway", "dashscope"])
    def test_the_21st_query_of_a_second_is_refused(self, caller, request_of, dialect):
        """The excess is a 429 in the dialect's shape; a second later there is room again."""
        task_id = caller.task(dialect, request_of(dialect))
        assert [caller.poll(dialect, task_id).status_code for _ in range(21)] == [200] * 20 + [429]
        reply = caller.poll(dialect, task_id).json()
        if dialect == "dashscope":
            assert reply["code"] == "Throttling.RateQuota"
            assert set(reply) == {"code", "message", "request_id"}
        else:
            assert reply["error"]["code"] == "rate_limit_exceeded"
        caller.clock.advance(1)
        assert caller.poll(dialect, task_id).status_code == 200

    def test_submits_and_downloads_do_not_count(self, make_caller, request_of):
        """The limit is on queries alone."""
        caller = make_caller(queries_per_s=1)
        assert [caller.submit("gateway", request_of()).status_code for _ in range(3)] == [200] * 3

    def test_zero_lifts_the_limit(self, make_caller):
        """With 0 nothing is counted."""
        caller = make_caller(queries_per_s=0)
        assert {caller.poll("dashscope", "x").status_code for _ in range(60)} == {200}

    def test_the_window_slides(self):
        """No second, wherever it begins, admits more than the limit."""
        limiter = QueryLimiter(4)
        admitted = [at / 10 for at in range(50) if limiter.admits("a", at / 10)]
        assert len(admitted) == 20
        assert max(sum(first <= at < first + 1 for at in admitted) for first in admitted) == 4

    def test_accounts_do_not_share(self):
        """Each account has its own window."""
        limiter = QueryLimiter(1)
        assert limiter.admits("a", 0)
        assert limiter.admits("b", 0)
        assert not limiter.admits("a", 0.5)

    def test_less_than_one_a_second(self):
        """A limit of one in two seconds is kept as such."""
        limiter = QueryLimiter(0.5)
        assert [limiter.admits("a", at) for at in (0, 1, 2)] == [True, False, True]

    def test_a_clock_set_back_holds_nobody_up(self):
        """Queries counted in what is now the future do not count."""
        limiter = QueryLimiter(1)
        assert limiter.admits("a", 1000)
        assert limiter.admits("a", 10)


class TestDurations:
    """How long tasks take."""

    def durations(self, caller, count):
        """Draw durations as submits do."""
        return [caller.simulator._draw_duration(make_task().order) for _ in range(count)]

    def test_fixed_without_sigma(self, make_caller):
        """Every task takes the set time."""
        assert self.durations(make_caller(seconds=7.0), 2) == [7.0, 7.0]

    def test_lognormal_with_sigma(self, make_caller):
        """The law has the set median, and the same seed draws the same durations."""
        first, second = (make_caller(seconds=12.0, sigma=0.4, durations_seed=7) for _ in range(2))
        drawn = self.durations(first, 200)
        assert drawn == self.durations(second, 200)
        assert median(drawn) == pytest.approx(12, rel=0.12)
        assert len(set(drawn)) == 200

    def test_a_prompt_can_say_how_long(self, caller, request_of):
        """`[[seconds:12]]` sets the time of its own task."""
        task_id = caller.task("gateway", request_of(text="[[seconds:12.5]] a fox"))
        assert caller.simulator.find_any(task_id).duration_s == 12.5

    def test_zero_seconds_are_finished_at_once(self, make_caller, request_of):
        """Without duration the first poll brings the pictures."""
        caller = make_caller(seconds=0)
        assert caller.poll("gateway", caller.task("gateway", request_of())).json()["status"] == "completed"


class TestSettings:
    """Settings, and the two environment variables."""

    def test_environment(self):
        """WAN_SIMULATOR_SECONDS and WAN_SIMULATOR_PRICE are read; what is given in the call wins."""
        environ = {"WAN_SIMULATOR_SECONDS": "0.5", "WAN_SIMULATOR_PRICE": "0.07"}
        config = SimulatorConfig.from_env(environ)
        assert (config.seconds, config.price) == (0.5, Decimal("0.07"))
        assert SimulatorConfig.from_env(environ, seconds=2.0).seconds == 2.0
        assert SimulatorConfig.from_env({}) == SimulatorConfig()

    @pytest.mark.parametrize("value", ["x", "-1", "nan", "inf"])
    @pytest.mark.parametrize("name", ["WAN_SIMULATOR_SECONDS", "WAN_SIMULATOR_PRICE"])
    def test_environment_nonsense_is_named(self, name, value):
        """A value that is no sensible number is an error with the variable's name."""
        with pytest.raises(ValueError, match=name):
            SimulatorConfig.from_env({name: value})

    @pytest.mark.parametrize(
        "wrong", [{"seconds": -1}, {"sigma": float("nan")}, {"price": Decimal(-1)}, {"envelope": "x"}]
    )
    def test_values_out_of_range_are_refused(self, wrong):
        """No setting is silently ignored."""
        with pytest.raises(ValueError, match=next(iter(wrong))):
            SimulatorConfig(**wrong)

    def test_keys_stay_out_of_the_repr(self):
        """Printing a configuration shows no key."""
        assert "sk-secret" not in repr(SimulatorConfig(keys=frozenset({"sk-secret"})))

    def test_unknown_fault_is_refused_at_once(self):
        """A misspelt fault is an error when the application is made."""
        with pytest.raises(ValueError, match="unknown fault"):
            create_app(SimulatorConfig(faults=("nope",)))


def make_task(task_id="t1", account="a", submitted_at=1000.0):
    """Make a task of ten seconds."""
    order = Order(model="m", mode="edit", prompt="p", inputs=("i",), width_px=16, height_px=16, images_n=1, seed=1)
    return Task(
        task_id=task_id, account=account, dialect="gateway", order=order, submitted_at=submitted_at, duration_s=10.0
    )


@pytest.fixture(params=["memory", "file"])
def store(request, tmp_path):
    """Each kind of store."""
    return MemoryStore() if request.param == "memory" else SqliteStore(tmp_path / "deep" / "state.db")


class TestStores:
    """Both stores keep the same promises."""

    def test_keeps_and_lists(self, store):
        """A task comes back as it was; an account's tasks come in order."""
        first, second, other = make_task(), make_task("t2", submitted_at=1001.0), make_task("t3", account="b")
        for task in (first, second, other):
            store.add(task)
        assert store.get("t1") == first
        assert store.get("none") is None
        assert store.of_account("a") == [first, second]

    def test_cancel_is_kept(self, store):
        """A cancelled task says when."""
        store.add(make_task())
        store.cancel("t1", 1001.0)
        assert store.get("t1").canceled_at == 1001.0
        assert store.get("t1").state(2000.0) is TaskState.CANCELED

    def test_old_tasks_are_forgotten(self, store):
        """Well after their 24 hours tasks leave the store; younger ones stay."""
        store.add(make_task())
        store.add(make_task("t2", submitted_at=1000.0 + KEPT_S))
        assert store.get("t1") is not None
        store.add(make_task("t3", submitted_at=1001.0 + KEPT_S))
        assert store.get("t1") is None
        assert store.get("t2") is not None

    def test_inputs_live_as_long_as_they_are_used(self, store):
        """An input is forgotten two days after its last use, not after its first."""
        for input_id, used_at in (("old", 1000.0), ("used", 1000.0), ("used", 5000.0)):
            store.add_input(InputPicture(input_id, 640, 480, b"jpeg"), used_at)
        store.add(make_task(submitted_at=2000.0 + KEPT_S))
        assert store.get_input("old") is None
        assert store.get_input("used") == InputPicture("used", 640, 480, b"jpeg")


class TestStateFile:
    """Tasks that outlive the process."""

    def test_tasks_and_pictures_outlive_the_simulator(self, make_caller, request_of, data_url, tmp_path):
        """A second simulator on the same file knows task and cancellation, honours the URL, paints the same bytes."""
        settings = {"state_path": tmp_path / "state.db"}
        first = make_caller(**settings)
        task_id = first.task("dashscope", request_of("dashscope", images=[data_url()], n=1))
        canceled = first.task("dashscope", request_of("dashscope"))
        assert first.post(f"/api/v1/tasks/{canceled}/cancel").status_code == 200
        first.clock.advance(10)
        url = first.result_urls("dashscope", task_id)[0]
        second = make_caller(**settings)
        assert second.poll("dashscope", task_id).json()["output"]["task_status"] == "SUCCEEDED"
        assert second.poll("dashscope", canceled).json()["output"]["task_status"] == "CANCELED"
        assert second.fetch(url).content == first.fetch(url).content

    def test_without_a_file_nothing_outlives(self, make_caller, request_of):
        """In memory, another simulator knows nothing."""
        task_id = make_caller().task("dashscope", request_of("dashscope"))
        assert make_caller().poll("dashscope", task_id).json()["output"]["task_status"] == "UNKNOWN"

    def test_several_writers_at_once(self, tmp_path):
        """Stores of one file in several threads lose no task and raise no error."""
        path = tmp_path / "state.db"
        errors = []

        def write(worker):
            try:
                store = SqliteStore(path)
                for number in range(10):
                    store.add(make_task(f"{worker}-{number}"))
            except Exception as problem:  # noqa: BLE001 (a thread must hand over whatever happened)
                errors.append(problem)

        threads = [threading.Thread(target=write, args=(worker,)) for worker in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert errors == []
        assert len(SqliteStore(path).of_account("a")) == 40

    def test_the_key_is_not_in_the_file(self, make_caller, request_of, tmp_path):
        """An account is kept as a hash."""
        path = tmp_path / "state.db"
        make_caller(key="sk-very-secret", state_path=path).task("gateway", request_of())
        assert b"sk-very-secret" not in path.read_bytes()


def test_the_simulator_imports_nothing_of_ours():
    """The double is an independent reading of the wire: it may not share the client's mistakes.

    What the package itself always imports (its version, how jobs are displayed) knows nothing of the wire.
    """
    code = (
        "import sys, wan_notebook.simulator, wan_notebook.simulator.__main__\n"
        "print([m for m in sys.modules if m.startswith('wan_notebook.')"
        " and not m.startswith(('wan_notebook.simulator', 'wan_notebook._version', 'wan_notebook.rendering'))"
        " or m.split('.')[0] in ('httpx', 'pydantic', 'sqlalchemy', 'IPython', 'uvicorn')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_clock_date_is_in_every_answer(caller, request_of):
    """Answers carry the Date of the simulator's clock, by which clients judge expiry."""
    caller.clock.advance(3600)
    assert caller.poll("dashscope", "x").headers["date"] == "Fri, 09 Jan 2026 10:52:04 GMT"


def test_requests_are_counted_by_kind(make_caller, request_of):
    """Tests can count what was asked, by method and kind."""
    caller = make_caller(seconds=0)
    task_id = caller.task("dashscope", request_of("dashscope", max_images=1))
    caller.fetch(caller.result_urls("dashscope", task_id)[0])
    caller.get("/api/v1/tasks")
    caller.post(f"/api/v1/tasks/{task_id}/cancel")
    assert caller.simulator.requests == {
        ("POST", "submit"): 1,
        ("GET", "poll"): 1,
        ("GET", "download"): 1,
        ("GET", "list"): 1,
        ("POST", "cancel"): 1,
    }
