"""Where settings, keys and folders come from, what is frozen, and homes that are not ours."""

import stat
import traceback
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from wan_notebook.errors import SettingsError
from wan_notebook.settings import IN_PROCESS_URL, KeyStore, SettingsLoader, check_key, picture_folder

KEY = "sk-nobody-may-see-7Q9z"


def loader(tmp_path: Path, **env: str) -> SettingsLoader:
    """Return settings that come from this environment alone."""
    return SettingsLoader(env, tmp_path, tmp_path / "config", tmp_path / "data", use_keyring=False)


def test_the_provider_follows_the_keys(tmp_path: Path) -> None:
    """WAN_PROVIDER, else the gateway's key, else DashScope's, else what was stored, else the simulator."""
    loader(tmp_path).store(provider="dashscope")

    def chosen(**env: str) -> str:
        return loader(tmp_path, **env).load().provider

    assert chosen(WAN_PROVIDER="simulator", WAN_API_KEY="k") == "simulator"
    assert chosen(WAN_PROVIDER=" Gateway ", DASHSCOPE_API_KEY="k") == "gateway"
    assert chosen(WAN_API_KEY="k", DASHSCOPE_API_KEY="k") == "gateway"
    assert chosen(DASHSCOPE_API_KEY="k", WAN_API_KEY=" ") == "dashscope"
    assert chosen() == "dashscope"
    loader(tmp_path).store(provider=None)
    found = loader(tmp_path).load()
    assert (found.provider, found.base_url, found.in_process) == ("simulator", IN_PROCESS_URL, True)
    assert found.looked_in == ("WAN_API_KEY", "DASHSCOPE_API_KEY", "%wan login")


def test_a_session_wins_over_the_environment_and_that_over_what_was_stored(tmp_path: Path) -> None:
    """One precedence for keys; each says where it was found."""
    given = loader(tmp_path, WAN_API_KEY="environment")
    given.keys.write("gateway", SecretStr("stored"))
    assert (given.load().key, given.load().key_source) == (SecretStr("environment"), "WAN_API_KEY")
    given.session_keys["gateway"] = SecretStr("session")
    assert given.load().key == SecretStr("session")
    stored = loader(tmp_path, WAN_PROVIDER="gateway").load()
    assert (stored.key, stored.key_source) == (SecretStr("stored"), str(tmp_path / "config" / "keys.json"))


def test_practice_is_not_sent_to_a_real_service(tmp_path: Path) -> None:
    """With WAN_BASE_URL of a real service, ``--provider simulator`` is the built-in one."""
    env = {"WAN_API_KEY": KEY, "WAN_BASE_URL": "https://real.test"}
    assert loader(tmp_path, **env).load("simulator").in_process
    assert loader(tmp_path, **env).load("simulator").key != SecretStr(KEY)
    assert loader(tmp_path, WAN_PROVIDER="simulator", **env).load("simulator").base_url == "https://real.test"


@pytest.mark.parametrize("reads_first", [True, False])
def test_a_provider_that_is_changed_later_sends_no_practice_to_the_real_service(
    tmp_path: Path, reads_first: bool
) -> None:
    """``%env WAN_PROVIDER=simulator`` beside a real address: an order would be paid and booked as practice."""
    env = {"WAN_API_KEY": KEY, "WAN_BASE_URL": "https://real.test", "WAN_PROVIDER": "gateway"}
    given = SettingsLoader(env, tmp_path, tmp_path / "config", tmp_path / "data", use_keyring=False)
    if reads_first:
        assert given.load().base_url == "https://real.test"
    env["WAN_PROVIDER"] = "simulator"
    found = given.load()
    assert (found.in_process, found.is_url_named) == (True, False)
    assert found.key != SecretStr(KEY)
    env["WAN_BASE_URL"] = "http://127.0.0.1:9"  # a simulator's own
    assert given.load().base_url == "http://127.0.0.1:9"


@pytest.mark.parametrize(
    ("env", "words"),
    [
        ({"WAN_PROVIDER": "gatway"}, ["'gatway'", "Did you mean gateway?"]),
        ({"WAN_REPLAY": "sometimes"}, ["WAN_REPLAY = 'sometimes'", "on, only or off"]),
        ({"WAN_QUERIES_PER_S": "fast"}, ["WAN_QUERIES_PER_S = 'fast' is not a number", "20"]),
        ({"WAN_QUERIES_PER_S": "-1"}, ["WAN_QUERIES_PER_S = '-1'"]),
        ({"WAN_QUERIES_PER_S": "inf"}, ["WAN_QUERIES_PER_S = 'inf'"]),
        ({"WAN_IN_FLIGHT": "2.5"}, ["WAN_IN_FLIGHT = '2.5' is not a whole number"]),
        ({"WAN_SUBMITS_PER_S": "1_000"}, ["WAN_SUBMITS_PER_S = '1_000'"]),
        ({"WAN_SIMULATOR_PRICE": "٣"}, ["WAN_SIMULATOR_PRICE = '٣'", "0.03"]),
        ({"WAN_SIMULATOR_SECONDS": "x", "WAN_IN_FLIGHT": "y"}, ["WAN_SIMULATOR_SECONDS = 'x'", "WAN_IN_FLIGHT = 'y'"]),
        ({"WAN_QUERIES_PER_S": "sk-pasted-by-mistake-123"}, ["WAN_QUERIES_PER_S = •••"]),
    ],
)
def test_a_wrong_variable_is_named(tmp_path: Path, env: dict[str, str], words: list[str]) -> None:
    """Which variable, which value (unless it may be a key), and what is allowed; several at once."""
    with pytest.raises(SettingsError) as caught:
        loader(tmp_path, **env).load()
    assert all(word in f"{caught.value.message} {caught.value.hint}" for word in words), caught.value
    assert "pydantic" not in str(caught.value)


@pytest.mark.parametrize(
    ("stored", "words"),
    [
        ("{broken", "cannot be read"),
        ('{"polling": "always"}', "the entry polling"),
        ('{"wait": "perhaps", "embed": []}', "the entry wait"),
    ],
)
def test_a_broken_config_file_is_named(tmp_path: Path, stored: str, words: str) -> None:
    """The file, the entry and what to do: never a traceback of ours."""
    given = loader(tmp_path)
    given.store(embed=True)
    given.config_path.write_text(stored)
    with pytest.raises(SettingsError, match=words) as caught:
        given.load()
    assert str(given.config_path) in caught.value.message
    assert "delete" in caught.value.hint


def test_a_stamp_changes_with_every_setting_that_may_change(tmp_path: Path) -> None:
    """Cached settings are never stale."""
    env: dict[str, str] = {}
    given = SettingsLoader(env, tmp_path, tmp_path / "config", tmp_path / "data", use_keyring=False)
    seen = {given.stamp()}
    given.store(embed=False)
    seen.add(given.stamp())
    given.session["replay"] = "only"
    seen.add(given.stamp())
    given.session_keys["gateway"] = SecretStr("k")
    seen.add(given.stamp())
    env["WAN_BUDGET"] = "5"
    seen.add(given.stamp())

    assert len(seen) == 5
    env["WAN_PROVIDER"] = "dashscope"
    assert given.load().provider == "dashscope"


# What protects -------------------------------------------------------------------------------------------------------


def test_what_protects_is_frozen_when_the_settings_are_loaded(tmp_path: Path) -> None:
    """A cell can neither lift a budget nor move the folder or the limits; what it tried is said."""
    env = {"WAN_BUDGET": "$5 per day", "WAN_HOME": str(tmp_path / "one"), "WAN_IN_FLIGHT": "2"}
    given = SettingsLoader(env, tmp_path, tmp_path / "config", tmp_path / "data", use_keyring=False)
    env |= {"WAN_BUDGET": "off", "WAN_HOME": str(tmp_path / "two"), "WAN_IN_FLIGHT": "500", "WAN_LEDGER": "x"}
    given.store(in_flight="500", queries_per_s=0, prices={"gateway": ["?", "USD"]})
    found = given.load()

    assert found.budget_texts == ("$5 per day",)
    assert found.folder == tmp_path / "one"
    assert (found.in_flight, found.queries_per_s, found.ledger_url, found.prices) == (2, 20.0, "", {})
    assert all(any(name in note for note in found.notes) for name in ("WAN_HOME", "WAN_LEDGER", "WAN_IN_FLIGHT"))


def test_a_budget_can_be_tightened(tmp_path: Path) -> None:
    """What a cell adds to WAN_BUDGET counts beside what was set before."""
    env = {"WAN_BUDGET": "5; 40 pictures"}
    given = SettingsLoader(env, tmp_path, tmp_path / "config", tmp_path / "data", use_keyring=False)
    env["WAN_BUDGET"] = "2"
    assert given.load().budget_texts == ("5", "40 pictures", "2")


def test_a_price_can_be_set_and_raised_but_not_lowered(tmp_path: Path) -> None:
    """A lower price would loosen every budget: it counts from the next kernel on."""
    given = loader(tmp_path)
    prices = [("0.03", "USD", "0.03"), ("0.05", "USD", "0.05"), ("0.2", "CNY", "0.2"), ("0.001", "USD", "0.05")]
    for amount, currency, in_force in prices:
        given.store(prices={"gateway": [amount, currency]})
        assert given.load().prices == {"gateway": (Decimal(in_force), currency)}
    assert "counts from the next kernel" in given.load().notes[0]
    assert loader(tmp_path).load().prices == {"gateway": (Decimal("0.001"), "USD")}


@pytest.mark.parametrize("price", [None, 5, "x", [], {"a": 5}, ["0.03"], [None, None]])
def test_a_price_that_is_none_is_not_known(tmp_path: Path, price: object) -> None:
    """A file that was edited by hand stops nothing; a budget on money then refuses, as without a price."""
    given = loader(tmp_path)
    given.store(prices={"gateway": price, "dashscope": ["0.2", "CNY"]})
    assert given.load().prices == {"dashscope": (Decimal("0.2"), "CNY")}


def test_folders_known_at_load_stay_known(tmp_path: Path) -> None:
    """Deleting the index does not make a budget forget what was spent elsewhere."""
    folder = _used_folder(tmp_path / "one")
    loader(tmp_path).remember_folder(folder)
    given = loader(tmp_path)
    (tmp_path / "data" / "folders.json").unlink()
    assert given.known_folders() == [folder]


# Keys ----------------------------------------------------------------------------------------------------------------


def test_a_key_shows_nowhere(tmp_path: Path) -> None:
    """Not in a repr, a stamp, or a traceback that shows variables."""
    given = loader(tmp_path, WAN_API_KEY=KEY, DASHSCOPE_API_KEY=KEY, WAN_LEDGER="postgresql://ann:geheim@db/x")
    shown = f"{given!r} {given.stamp()!r} {given.load()!r} {given.keys!r}"
    (tmp_path / "config").mkdir()
    given.config_path.write_text("{")
    given.forget()
    with pytest.raises(SettingsError) as caught:
        given.load()
    shown += "".join(traceback.TracebackException.from_exception(caught.value, capture_locals=True).format())
    assert "nobody" not in shown
    assert "geheim" not in shown


def test_a_stored_key_can_be_read_by_its_owner_alone(tmp_path: Path) -> None:
    """The file is 0600; another provider's key stays; a file that others can read is reported."""
    store = KeyStore(tmp_path / "config", use_keyring=False)
    store.write("gateway", SecretStr("one"))
    store.write("dashscope", SecretStr("two"))
    store.delete("gateway")

    assert stat.S_IMODE(store.path.stat().st_mode) == 0o600
    assert store.read("gateway") == (None, "")
    assert store.read("dashscope")[0] == SecretStr("two")
    assert store.exposure() == ""
    store.path.chmod(0o644)
    assert "mode 0644" in store.exposure()
    assert f"chmod 600 {store.path}" in store.exposure()


def test_a_planted_link_does_not_receive_the_key(tmp_path: Path) -> None:
    """Whatever stands at the key file's name is replaced, never written through."""
    trap = tmp_path / "trap"
    trap.touch(mode=0o644)
    (tmp_path / "config").mkdir()
    store = KeyStore(tmp_path / "config", use_keyring=False)
    store.path.symlink_to(trap)
    store.write("gateway", SecretStr(KEY))

    assert trap.read_text() == ""
    assert not store.path.is_symlink()


@pytest.mark.parametrize("key", ["sk-with space", "sk-“quoted”", "sk-é", 'sk-"x"'])
def test_a_key_that_no_header_can_carry_is_refused(tmp_path: Path, key: str) -> None:
    """It is refused before it is stored, and not repeated."""
    with pytest.raises(SettingsError, match="never have") as caught:
        KeyStore(tmp_path, use_keyring=False).write("gateway", SecretStr(key))
    assert key not in str(caught.value)
    check_key(None)


# Homes that are not ours ---------------------------------------------------------------------------------------------


def test_a_home_that_cannot_be_written_does_not_stop_anything(tmp_path: Path) -> None:
    """Reading works as if nothing were stored; storing says which file, once, and what to do."""
    home = tmp_path / "null"
    home.write_text("a file, as /dev/null is")
    given = SettingsLoader({}, tmp_path, home / "config", home / "data", use_keyring=False)

    assert given.load().provider == "simulator"
    given.remember_folder(tmp_path)
    given.remember_envelope("https://x.test", "params")
    assert given.known_folders() == []
    attempts: list[tuple[Any, Path]] = [
        (lambda: given.store(embed=False), given.config_path),
        (lambda: given.keys.write("gateway", SecretStr(KEY)), given.keys.path),
    ]
    for attempt, path in attempts:
        with pytest.raises(SettingsError, match="could not be stored in") as caught:
            attempt()
        assert str(path) in caught.value.message
        assert caught.value.hint
        assert caught.value.__context__ is None or KEY not in str(caught.value.__context__)


def test_a_home_that_cannot_be_entered_is_like_none(tmp_path: Path) -> None:
    """In a container HOME may be nothing that can be entered: nothing of this person can be in it."""
    home = tmp_path / "file"
    home.write_text("which root cannot enter either")
    assert SettingsLoader({}, tmp_path, home / "config", home / "data", use_keyring=False).load().embed


# Folders and notes ---------------------------------------------------------------------------------------------------


def test_pictures_go_to_the_nearest_folder_upward(tmp_path: Path) -> None:
    """WAN_HOME, else the nearest wan-pictures upward, else one beside the notebook."""
    deep = tmp_path / "a" / "b"
    deep.mkdir(parents=True)
    assert picture_folder(deep) == deep / "wan-pictures"
    (tmp_path / "wan-pictures").mkdir()
    assert picture_folder(deep) == tmp_path / "wan-pictures"
    assert picture_folder(deep, str(tmp_path / "x")) == tmp_path / "x"
    for wrong in ("s3://bucket/study", "~nobody-here/x"):
        with pytest.raises(SettingsError, match="WAN_HOME"):
            picture_folder(deep, wrong)
    assert SettingsLoader({}, deep, tmp_path, tmp_path, folder=tmp_path / "y").load().folder == tmp_path / "y"


def _used_folder(folder: Path) -> Path:
    folder.mkdir()
    (folder / "ledger.db").touch()
    return folder


def test_kernels_that_begin_at_once_forget_no_folder(tmp_path: Path) -> None:
    """Every folder gets into the person's index, however many kernels note theirs in the same moment."""
    folders = [_used_folder(tmp_path / f"f{number}") for number in range(8)]
    with ThreadPoolExecutor(len(folders)) as pool:
        list(pool.map(lambda folder: loader(tmp_path).remember_folder(folder), folders))
    assert sorted(loader(tmp_path).known_folders()) == sorted(folders)


def test_the_form_that_worked_is_remembered_by_address(tmp_path: Path) -> None:
    """Only what differs from the usual form is written, beside the other settings."""
    given = loader(tmp_path)
    given.remember_envelope("https://one.test/", "params")
    given.remember_envelope("https://two.test", "flat")
    given.store(embed=False)

    assert given.envelope("https://one.test") == "params"
    assert given.envelope("https://two.test") == ""
    assert given.stored() == {"envelopes": {"https://one.test": "params"}, "embed": False}
    given.remember_envelope("https://one.test", "flat")
    assert given.envelope("https://one.test/") == "flat"
