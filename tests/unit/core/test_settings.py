"""Where settings, keys and folders come from, what is frozen, and homes that are not ours."""

import stat
import traceback
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from pathlib import Path

import pytest
from pydantic import SecretStr

from wan_notebook.errors import SettingsError
from wan_notebook.settings import IN_PROCESS_URL, SettingsLoader, check_key, picture_folder

KEY = "sk-nobody-may-see-7Q9z"
REAL = {"WAN_API_KEY": KEY, "WAN_BASE_URL": "https://real.test"}
Make = Callable[..., SettingsLoader]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """Return settings that come from an environment, given as a mapping or as names, and one home."""

    def loader(env: dict[str, str] | None = None, /, home: Path = tmp_path, **names: str) -> SettingsLoader:
        env = names if env is None else env
        return SettingsLoader(env, tmp_path, home / "config", home / "data", use_keyring=False)

    return loader


@pytest.mark.parametrize(
    ("env", "stored", "provider"),
    [
        ({"WAN_PROVIDER": "simulator", "WAN_API_KEY": "k"}, "dashscope", "simulator"),
        ({"WAN_PROVIDER": " Gateway ", "DASHSCOPE_API_KEY": "k"}, None, "gateway"),
        ({"WAN_API_KEY": "k", "DASHSCOPE_API_KEY": "k"}, None, "gateway"),
        ({"DASHSCOPE_API_KEY": "k", "WAN_API_KEY": " "}, "gateway", "dashscope"),
        ({}, "dashscope", "dashscope"),
        ({}, None, "simulator"),
    ],
)
def test_the_provider_follows_the_keys(make: Make, env: dict[str, str], stored: str | None, provider: str) -> None:
    """WAN_PROVIDER, else the gateway's key, else DashScope's, else what was stored; a key's variable, else its file."""
    make().store(provider=stored)
    found = make(env).load()
    assert (found.provider, found.base_url == IN_PROCESS_URL) == (provider, provider == "simulator")
    keys = make().keys
    keys.write("gateway", SecretStr("stored"))
    for key, place in (("environment", "WAN_API_KEY"), ("", str(keys.path))):
        found = make(WAN_PROVIDER="gateway", WAN_API_KEY=key).load()
        assert (found.key, found.key_source) == (SecretStr(key or "stored"), place)


@pytest.mark.parametrize("reads_first", [True, False])
def test_practice_is_not_sent_to_a_real_service(make: Make, reads_first: bool) -> None:
    """``--provider`` or ``%env WAN_PROVIDER=simulator`` beside a real address: it would be paid, booked as practice."""
    env = {**REAL, "WAN_PROVIDER": "gateway"}
    given = make(env)
    if reads_first:
        assert given.load().base_url == "https://real.test"
        assert given.load("simulator").in_process
    env["WAN_PROVIDER"] = "simulator"
    found = given.load()
    assert (found.in_process, found.is_url_named, found.key == SecretStr(KEY)) == (True, False, False)
    env["WAN_BASE_URL"] = "http://127.0.0.1:9"  # a simulator's own
    urls = [given.load(name).base_url for name in (None, "gateway", "dashscope")]
    assert urls == ["http://127.0.0.1:9", "https://real.test", "http://127.0.0.1:9"]
    assert "real.test" not in make(WAN_PROVIDER="gateway", **REAL).load("dashscope").base_url
    elsewhere = make(WAN_PROVIDER="simulator", **REAL).load("simulator")
    assert (elsewhere.base_url, elsewhere.key) == ("https://real.test", SecretStr("simulator"))


@pytest.mark.parametrize(
    ("env", "words"),
    [
        ({"WAN_PROVIDER": "gatway"}, ["'gatway'", "gateway, dashscope, simulator"]),
        ({"WAN_REPLAY": "sometimes"}, ["WAN_REPLAY = 'sometimes'", "'on', 'only' or 'off'"]),
        ({"WAN_QUERIES_PER_S": "-1"}, ["WAN_QUERIES_PER_S = '-1'"]),
        ({"WAN_IN_FLIGHT": "2.5"}, ["WAN_IN_FLIGHT = '2.5'", "integer"]),
        ({"WAN_SIMULATOR_PRICE": "٣"}, ["WAN_SIMULATOR_PRICE = '٣'"]),
        ({"WAN_SIMULATOR_SECONDS": "x", "WAN_IN_FLIGHT": "y"}, ["WAN_SIMULATOR_SECONDS = 'x'", "WAN_IN_FLIGHT = 'y'"]),
        ({"WAN_QUERIES_PER_S": "sk-pasted-by-mistake-123"}, ["WAN_QUERIES_PER_S = •••"]),
    ],
)
def test_a_wrong_variable_is_named(make: Make, env: dict[str, str], words: list[str]) -> None:
    """Which variable, which value (unless it may be a key), and what is allowed; several at once."""
    with pytest.raises(SettingsError) as caught:
        make(env).load()
    assert all(word in str(caught.value) for word in words), caught.value


def test_settings_are_never_stale(make: Make) -> None:
    """What another kernel stores, and a variable that a cell changes, count from now on; a broken file is named."""
    env: dict[str, str] = {}
    given = make(env)
    assert given.load().embed
    make().store(embed=False)
    env["WAN_PROVIDER"] = "dashscope"
    assert (given.load().embed, given.load().provider) == (False, "dashscope")
    odd = ("{broken", "[" * 100_000, '{"budgets": {"day": 5}}')
    for stored, words in (*((text, "cannot be read") for text in odd), ('{"polling": "always"}', "the entry polling")):
        given.config_path.write_text(stored)
        with pytest.raises(SettingsError, match=words) as caught:
            given.load()
        assert str(given.config_path) in caught.value.message
        assert "delete" in caught.value.hint


# What protects -------------------------------------------------------------------------------------------------------


def test_what_protects_is_frozen_when_the_settings_are_loaded(make: Make, tmp_path: Path) -> None:
    """A cell can neither lift a budget nor move the folder or the limits; what it tried is said."""
    env = {"WAN_BUDGET": "$5 per day", "WAN_HOME": str(tmp_path / "one"), "WAN_IN_FLIGHT": "2"}
    given = make(env)
    env |= {"WAN_BUDGET": "off", "WAN_HOME": str(tmp_path / "two"), "WAN_IN_FLIGHT": "500", "WAN_LEDGER": "x"}
    given.store(in_flight="500", queries_per_s=0, prices={"gateway": ["?", "USD"]})
    found = given.load()
    assert (found.budget_texts, found.folder) == (("$5 per day",), tmp_path / "one")
    assert (found.in_flight, found.queries_per_s, found.ledger_url, found.prices) == (2, 20.0, "", {})
    assert all(any(name in note for note in found.notes) for name in ("WAN_HOME", "WAN_LEDGER", "WAN_IN_FLIGHT"))
    env["WAN_BUDGET"] = "2; 40 pictures"  # tightened
    assert given.load().budget_texts == ("$5 per day", "2", "40 pictures")


def test_a_price_can_be_set_and_raised_but_not_lowered(make: Make) -> None:
    """A lower price, or none, would loosen every budget: it counts from the next kernel on; odd ones are not known."""
    given = make()
    prices = [("0.03", "USD", "0.03"), ("0.05", "USD", "0.05"), ("0.2", "CNY", "0.2"), ("0.001", "USD", "0.05")]
    for amount, currency, in_force in prices:
        given.store(prices={"gateway": [amount, currency]})
        assert given.load().prices == {"gateway": (Decimal(in_force), currency)}
    for nothing in ({}, None):
        given.store(prices=nothing)
        assert "gateway" in given.load().prices
        assert make().load().prices == {}
    given.store(prices={"gateway": ["0.001", "USD"]})
    frozen = make()
    given.store(prices={"gateway": ["0.0001", "USD"]})  # before a first look at it
    assert frozen.load().prices == {"gateway": (Decimal("0.001"), "USD")}
    assert make().load().prices == {"gateway": (Decimal("0.0001"), "USD")}
    for price in (None, "x", {"a": 5}, ["0.03"], [None, None]):
        given.store(prices={"gateway": price, "dashscope": ["0.2", "CNY"]})
        assert make().load().prices == {"dashscope": (Decimal("0.2"), "CNY")}


# Keys ----------------------------------------------------------------------------------------------------------------


def test_a_key_shows_nowhere(make: Make) -> None:
    """Neither in a repr, nor in a traceback that shows variables."""
    given = make(WAN_API_KEY=KEY, DASHSCOPE_API_KEY=KEY, WAN_LEDGER="postgresql://ann:geheim@db/x")
    shown = f"{given!r} {given.load()!r} {given.keys!r}"
    given.store(embed=True)
    given.config_path.write_text("{")
    with pytest.raises(SettingsError) as caught:
        given.load()
    shown += "".join(traceback.TracebackException.from_exception(caught.value, capture_locals=True).format())
    assert "nobody" not in shown
    assert "geheim" not in shown


def test_a_keyring_that_holds_nothing_is_not_asked(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """It takes its time, and may ask for a password, though the key is in a variable; after a login all are known."""
    asked: list[str] = []
    monkeypatch.setattr("keyring.get_keyring", lambda: asked.append("keyring"))
    given = make(WAN_API_KEY=KEY)
    assert (given.known_keys().is_in(KEY), asked) == (True, [])
    given.keys.write("dashscope", SecretStr("sk-stored-before-8R0a"))
    assert given.known_keys().is_in("sk-stored-before-8R0a")


def test_odd_keys_and_lists_of_folders_stop_nothing(make: Make) -> None:
    """Bytes that are no text, and files that somebody edited: a key that cannot be one is refused when it is used."""
    given = make(WAN_API_KEY="\udcff-no-text-at-all")
    found = given.load()
    assert not given.known_keys().is_in("a prompt")
    with pytest.raises(SettingsError, match="character"):
        check_key(found.key)
    given.data_dir.mkdir()
    given.keys.path.parent.mkdir()
    for text in ('["\\u0000", "\\ud800", 5]', "[" * 100_000):
        (given.data_dir / "folders.json").write_text(text)
        given.keys.path.write_text(text)
        assert (make().known_folders(), make().keys.read("gateway")) == ([], (None, ""))


def test_a_stored_key_is_its_owners_alone(make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file is 0600, and reported else; a planted link is replaced, never written through; other keys stay."""
    store = make().keys
    (tmp_path / "trap").touch(mode=0o644)
    store.path.parent.mkdir()
    store.path.symlink_to(tmp_path / "trap")
    store.write("gateway", SecretStr("one"))
    assert ((tmp_path / "trap").read_text(), store.path.is_symlink()) == ("", False)
    store.write("dashscope", SecretStr("two"))
    store.delete("gateway")
    assert stat.S_IMODE(store.path.stat().st_mode) == 0o600
    assert (store.read("gateway"), store.read("dashscope")[0]) == ((None, ""), SecretStr("two"))
    assert store.exposure() == ""
    store.path.chmod(0o644)
    assert f"(mode 0644): run chmod 600 {store.path}" in store.exposure()
    monkeypatch.setattr("secrets.token_hex", lambda _: "guessed")
    store.path.with_name(".guessed.tmp").symlink_to(tmp_path / "trap")
    with pytest.raises(SettingsError, match="could not be stored"):
        store.write("gateway", SecretStr("one"))
    assert (tmp_path / "trap").read_text() == ""


# Folders -------------------------------------------------------------------------------------------------------------


def test_a_home_that_cannot_be_written_does_not_stop_anything(make: Make, tmp_path: Path) -> None:
    """Reading works as if nothing were stored; storing says which file, and what to do."""
    home = tmp_path / "null"
    home.write_text("a file, as /dev/null is, which root cannot enter either")
    given = make(home=home)
    assert given.load().provider == "simulator"
    given.remember_folder(tmp_path)
    assert given.known_folders() == []
    with pytest.raises(SettingsError, match=f"could not be stored in .*{given.config_path}"):
        given.store(embed=False)
    with pytest.raises(SettingsError, match=f"could not be stored in .*{given.keys.path}") as caught:
        given.keys.write("gateway", SecretStr(KEY))
    assert KEY not in str(caught.value.__context__)


def test_pictures_go_to_the_nearest_folder_upward(make: Make, tmp_path: Path) -> None:
    """WAN_HOME, else the nearest wan-pictures upward, else one beside the notebook."""
    deep = tmp_path / "a" / "b"
    deep.mkdir(parents=True)
    assert picture_folder(deep) == deep / "wan-pictures"
    (tmp_path / "wan-pictures").mkdir()
    assert picture_folder(deep) == tmp_path / "wan-pictures"
    assert make(WAN_HOME=str(tmp_path / "x")).folder == tmp_path / "x"
    for wrong in ("s3://bucket/study", "~nobody-here/x"):
        with pytest.raises(SettingsError, match="WAN_HOME"):
            make(WAN_HOME=wrong)


def test_every_used_folder_stays_known(make: Make, tmp_path: Path) -> None:
    """Kernels that begin at once forget none; deleting the index does not make a budget forget what was spent."""
    folders = [tmp_path / f"f{number}" for number in range(8)]
    for folder in folders:
        folder.mkdir()
        (folder / "ledger.db").touch()
    with ThreadPoolExecutor(len(folders)) as pool:
        list(pool.map(lambda folder: make().remember_folder(folder), folders))
    given = make()
    (tmp_path / "data" / "folders.json").unlink()
    assert sorted(given.known_folders()) == folders
