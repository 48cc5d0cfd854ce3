"""Money, secrets, states, the background thread, the text transformer, settings and keys."""

from __future__ import annotations

import asyncio
import copy
import pickle
import stat
import threading
import traceback
from concurrent.futures import Future, ThreadPoolExecutor
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wan_notebook.errors import JobTimeout, RequestError, SettingsError, WanError
from wan_notebook.folders import known_folders, remember_folder, store_folder, write_private
from wan_notebook.jobs.outcome import seeds_text
from wan_notebook.keys import KeyStore
from wan_notebook.money import Cost, Source, Total, format_amount, to_decimal
from wan_notebook.runtime import DaemonExecutor, Runtime, from_thread
from wan_notebook.secret import Secret
from wan_notebook.settings import Sources, read_settings
from wan_notebook.states import FINAL, OPEN, JobState, may_follow
from wan_notebook.transform import transform_lines

# Money ---------------------------------------------------------------------------------------------------------------


def test_sums_keep_sources_and_currencies_apart() -> None:
    """Reported, estimated and unknown are never added to each other; unknown is never 0."""
    total = Total.of(
        [
            Cost(Decimal("0.03"), "USD", Source.REPORTED),
            Cost(Decimal("0.03"), "USD", Source.REPORTED),
            Cost(Decimal("0.36"), "USD", Source.ESTIMATED),
            Cost(Decimal("1"), "CNY", Source.ESTIMATED),
            Cost(),
            Cost(),
            Cost.zero(Source.SIMULATED),
        ]
    )

    assert str(total) == "$0.06 reported + ¥1.00 estimated + $0.36 estimated + 2 unknown"
    assert total.known("USD") == Decimal("0.42")


@pytest.mark.parametrize(
    ("seeds", "text"),
    [
        ([5], "seed 5"),
        ([5, 6], "seeds 5…6"),
        ([5, 6, 7, 8], "seeds 5…8"),
        ([5, 9, 12], "seeds 5, 9, 12"),
        ([2**31 - 1, 0, 1], "seeds 2147483647, 0, 1"),
        (list(range(0, 20, 2)), "seeds 0, 2, 4, 6, 8, 10, …"),
    ],
)
def test_seeds_are_written_as_they_are(seeds: list[int], text: str) -> None:
    """A range is written only where every seed of it was asked."""
    assert seeds_text(seeds) == text


def test_an_amount_is_written_exactly() -> None:
    """No rounding, at least two decimals."""
    assert [format_amount(Decimal(a)) for a in ("0", "0.03", "0.0255", "12")] == ["$0.00", "$0.03", "$0.0255", "$12.00"]
    assert format_amount(Decimal(5), "JPY") == "JPY 5.00"


@given(st.one_of(st.none(), st.text(), st.floats(), st.integers(), st.booleans(), st.lists(st.integers())))
def test_a_price_is_a_finite_number_of_at_least_zero_or_nothing(value: object) -> None:
    """Whatever a service calls a cost, no NaN and no negative amount gets in."""
    amount = to_decimal(value)
    assert amount is None or (amount.is_finite() and amount >= 0)


# Secrets -------------------------------------------------------------------------------------------------------------


def test_a_key_shows_nowhere() -> None:
    """Not in repr, str, format, a traceback with locals, and it is not pickled or copied into a file."""
    key = Secret("sk-very-secret")

    def fails(key: Secret) -> None:
        raise ValueError(key)

    with pytest.raises(ValueError, match="•••") as caught:
        fails(key)
    shown = "".join(traceback.TracebackException.from_exception(caught.value, capture_locals=True).format())
    assert "sk-very" not in f"{key} {key!r} {[key]}" + shown
    assert key.mask("x sk-very-secret y") == "x ••• y"
    for copier in (pickle.dumps, copy.deepcopy):
        with pytest.raises(TypeError, match="never written"):
            copier(key)


def test_a_stored_key_can_be_read_by_its_owner_alone(tmp_path: Path) -> None:
    """The file is 0600 from its first moment on; another provider's key stays."""
    store = KeyStore(tmp_path / "config", use_keyring=False)
    store.write("gateway", Secret("one"))
    store.write("dashscope", Secret("two"))
    store.forget("gateway")

    assert stat.S_IMODE(store.path.stat().st_mode) == 0o600
    assert store.read("gateway") == (None, "")
    assert store.read("dashscope")[0] == Secret("two")


# States --------------------------------------------------------------------------------------------------------------


def test_nothing_follows_a_final_state_but_a_found_task() -> None:
    """Only an expired job can come back, when its task is found after all."""
    following = {old: [new for new in JobState if may_follow(old, new)] for old in FINAL}

    assert {old for old, new in following.items() if new} == {JobState.EXPIRED}
    assert JobState.IN_DOUBT in OPEN
    assert not may_follow(JobState.IN_DOUBT, JobState.SENDING)


# The thread ----------------------------------------------------------------------------------------------------------


def test_the_runtime_starts_and_stops_any_number_of_times() -> None:
    """Idempotent both ways, and its thread is a daemon."""
    runtime = Runtime("test")
    runtime.stop()
    runtime.start()
    runtime.start()
    assert runtime.submit(asyncio.sleep(0, "ran")).result(5) == "ran"
    assert [t.daemon for t in threading.enumerate() if t.name == "test"] == [True]
    runtime.stop()
    runtime.stop()
    assert not runtime.is_running
    assert runtime.submit(asyncio.sleep(0, "again")).result(5) == "again"
    runtime.stop()


def test_a_callback_may_wait_for_the_loop() -> None:
    """A person's callback runs on a thread of its own kind, so waiting there blocks nothing."""
    runtime, done = Runtime("test"), threading.Event()

    def callback() -> None:
        runtime.submit(asyncio.sleep(0)).result(5)
        done.set()

    runtime.call_back(callback)
    assert done.wait(5)
    runtime.stop()


def test_a_failing_callback_takes_nobody_down() -> None:
    """The next callback still runs."""
    runtime, done = Runtime("test"), threading.Event()
    runtime.call_back(lambda: 1 / 0)
    runtime.call_back(done.set)

    assert done.wait(5)
    runtime.stop()


def test_answers_of_threads_arrive_once_each_and_wake_the_loop_once() -> None:
    """A thread that answers many at once wakes the loop once; values, errors and withdrawals each reach their own."""

    async def main() -> tuple[list[object], int]:
        loop = asyncio.get_running_loop()
        asked: list[Future[int]] = [Future() for _ in range(100)]
        waiting = [from_thread(future) for future in asked]
        wakes, original = 0, loop.call_soon_threadsafe

        def counted(*args: Any, **options: Any) -> Any:
            nonlocal wakes
            wakes += 1
            return original(*args, **options)

        loop.call_soon_threadsafe = counted  # type: ignore[method-assign]

        def answer() -> None:
            for number, future in enumerate(asked):
                if number % 10 == 7:
                    future.set_exception(ValueError(number))
                elif number % 10 == 8:
                    future.cancel()
                    future.set_running_or_notify_cancel()
                else:
                    future.set_result(number)

        thread = threading.Thread(target=answer)
        thread.start()
        thread.join()  # the loop stands still meanwhile
        return await asyncio.gather(*waiting, return_exceptions=True), wakes

    found, wakes = asyncio.run(main())
    assert wakes == 1
    for number, value in enumerate(found):
        wanted: Any = {7: ValueError, 8: asyncio.CancelledError}.get(number % 10, int)
        assert isinstance(value, wanted)
        assert value == number or not isinstance(value, int)


def test_who_stops_waiting_for_a_thread_withdraws_what_has_not_begun() -> None:
    """A cancelled task leaves no work behind that nobody wants; what runs already runs to its end."""

    async def main() -> list[str]:
        executor, gate, done = DaemonExecutor(1, "test"), threading.Event(), list[str]()
        first = from_thread(executor.submit(lambda: (gate.wait(5), done.append("first"))))
        second = from_thread(executor.submit(done.append, "second"))
        third = from_thread(executor.submit(done.append, "third"))
        second.cancel()
        await asyncio.sleep(0)  # its callback is called by the loop
        gate.set()
        await asyncio.gather(first, third)
        executor.shutdown()
        return done

    assert asyncio.run(main()) == ["first", "third"]


# Errors --------------------------------------------------------------------------------------------------------------


def test_an_error_is_short_in_a_notebook_and_whole_in_python() -> None:
    """The notebook shows what and what to do; the exception is its own type with its attributes."""
    error = WanError("The key was refused.", hint="Run `%wan login`.")

    assert error._render_traceback_() == ["WanError: The key was refused.", "  → Run `%wan login`."]
    assert str(error) == "The key was refused. Run `%wan login`."
    assert issubclass(JobTimeout, TimeoutError)
    assert issubclass(RequestError, ValueError)


# The cell's text -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (["%%wan"], ["%%wan\n", "\n"]),
        (["%%wan --seed 5\n", "\n"], ["%%wan --seed 5\n", "\n"]),
        (["%%wan\n", "a fox?\n"], ["%%wan\n", "a fox?\n"]),
        (["%%wanted\n"], ["%%wanted\n"]),
        (["%wan make a fox?\n"], ["get_ipython().run_line_magic('wan', 'make a fox?')\n"]),
        (["  job = %wan make it's?\n"], ["  job = get_ipython().run_line_magic('wan', \"make it's?\")\n"]),
        (["%wan?\n"], ["%wan?\n"]),
        (["%wan make a fox\n"], ["%wan make a fox\n"]),
        (["%%bash\n", "%wan x?\n"], ["%%bash\n", "%wan x?\n"]),
        ([], []),
        (["\n"], ["\n"]),
    ],
)
def test_only_our_two_traps_are_repaired(lines: list[str], expected: list[str]) -> None:
    """An empty ``%%wan`` gets a body, a one-line prompt keeps its question mark; all else stays."""
    assert transform_lines(lines) == expected


# Settings ------------------------------------------------------------------------------------------------------------


def sources(tmp_path: Path, **env: str) -> Sources:
    """Return settings that come from this environment alone."""
    keys = KeyStore(tmp_path / "keys", use_keyring=False)
    return Sources(env=env, cwd=tmp_path, config_path=tmp_path / "config.json", keys=keys)


def test_the_provider_follows_the_keys(tmp_path: Path) -> None:
    """WAN_PROVIDER, else the gateway's key, else DashScope's, else what was stored, else the simulator."""
    stored = sources(tmp_path)
    stored.store(provider="dashscope")

    def chosen(**env: str) -> str:
        return read_settings(sources(tmp_path, **env)).provider.name

    assert chosen(WAN_PROVIDER="simulator", WAN_API_KEY="k") == "simulator"
    assert chosen(WAN_API_KEY="k", DASHSCOPE_API_KEY="k") == "gateway"
    assert chosen(DASHSCOPE_API_KEY="k") == "dashscope"
    assert chosen() == "dashscope"
    stored.store(provider=None)
    assert chosen() == "simulator"


def test_a_session_wins_over_the_environment_and_that_over_what_was_stored(tmp_path: Path) -> None:
    """One precedence for keys."""
    given = sources(tmp_path, WAN_API_KEY="environment")
    given.keys.write("gateway", Secret("stored"))
    assert read_settings(given).provider.key == Secret("environment")
    given.session_keys["gateway"] = Secret("session")
    assert read_settings(given).provider.key == Secret("session")
    assert read_settings(sources(tmp_path, WAN_PROVIDER="gateway")).provider.key == Secret("stored")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("WAN_PROVIDER", "openai"),
        ("WAN_REPLAY", "sometimes"),
        ("WAN_QUERIES_PER_S", "fast"),
        ("WAN_QUERIES_PER_S", "-1"),
    ],
)
def test_a_wrong_setting_names_itself(tmp_path: Path, name: str, value: str) -> None:
    """Which variable, which value, and what is allowed."""
    with pytest.raises(SettingsError, match=value) as caught:
        read_settings(sources(tmp_path, **{name: value}))
    assert caught.value.hint


def test_a_stamp_changes_with_every_setting(tmp_path: Path) -> None:
    """Cached settings are never stale."""
    given = sources(tmp_path)
    seen = {given.stamp()}
    given.store(embed=False)
    seen.add(given.stamp())
    given.session["replay"] = "only"
    seen.add(given.stamp())
    given.session_keys["gateway"] = Secret("k")
    seen.add(given.stamp())
    seen.add(sources(tmp_path, WAN_BUDGET="5").stamp())

    assert len(seen) == 5


# Folders -------------------------------------------------------------------------------------------------------------


def test_pictures_go_to_the_nearest_folder_upward(tmp_path: Path) -> None:
    """WAN_HOME, else the nearest wan-pictures upward, else one beside the notebook."""
    deep = tmp_path / "a" / "b"
    deep.mkdir(parents=True)
    assert store_folder(deep, {}) == deep / "wan-pictures"
    (tmp_path / "wan-pictures").mkdir()
    assert store_folder(deep, {}) == tmp_path / "wan-pictures"
    assert store_folder(deep, {"WAN_HOME": str(tmp_path / "x")}) == tmp_path / "x"


def test_the_index_knows_folders_that_still_exist(tmp_path: Path) -> None:
    """A folder that was deleted is not counted, and a damaged index is an empty one."""
    index = tmp_path / "folders.json"
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "ledger.db").touch()
        remember_folder(tmp_path / name, index)
    (tmp_path / "one" / "ledger.db").unlink()

    assert known_folders(index) == [tmp_path / "two"]
    write_private(index, "{broken")
    assert known_folders(index) == []


def test_kernels_that_begin_at_once_forget_no_folder(tmp_path: Path) -> None:
    """Every folder gets into the person's index, however many kernels note theirs in the same moment."""
    index = tmp_path / "folders.json"
    folders = [tmp_path / f"f{number}" for number in range(12)]
    for folder in folders:
        folder.mkdir()
        (folder / "ledger.db").touch()
    with ThreadPoolExecutor(len(folders)) as pool:
        list(pool.map(lambda folder: remember_folder(folder, index), folders))

    assert sorted(known_folders(index)) == sorted(folders)


def test_where_settings_come_from_can_be_shown_without_the_key(tmp_path: Path) -> None:
    """A traceback that shows variables shows these too, and what a session remembers of them."""
    given = sources(tmp_path, WAN_API_KEY="sk-nobody-may-see-7Q9z", DASHSCOPE_API_KEY="sk-nor-this-8R1y")
    shown = f"{given!r} {given.stamp()!r}"
    assert "sk-no" not in shown
    assert given.stamp() != sources(tmp_path, WAN_API_KEY="sk-another-key-3T5u").stamp()
