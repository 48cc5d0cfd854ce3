"""Client: what is wrong with a setting is said when it is made."""

from __future__ import annotations

from datetime import UTC, datetime

import httpx
import pytest

from tests.client_kit import BASE, Answers, client, run, submit
from wan_notebook.errors import SettingsError
from wan_notebook.secret import Secret

ACCEPTED = {"id": "task-7f3a", "status": "in_progress"}


@pytest.mark.parametrize("key", ["sk-ключ", "sk 1", "sk-1\n", 'sk"1', "sk-1\x7f"])
def test_a_key_that_no_header_can_carry_is_refused_without_showing_it(key: str) -> None:
    """Httpx would name the whole header in its own error."""
    with pytest.raises(SettingsError) as caught:
        client(Answers(), key=Secret(key))
    assert "sk" not in str(caught.value)


@pytest.mark.parametrize("url", ["nonsense", "https://xn--\u2028.example", "https://" + "a" * 70_000])
def test_a_base_url_that_cannot_be_used_is_a_setting_error(url: str) -> None:
    """It is told when the client is made, before anything is sent."""
    with pytest.raises(SettingsError) as caught:
        client(Answers(), base_url=url)
    assert len(str(caught.value)) < 1000


def test_an_unknown_envelope_is_a_setting_error_where_there_is_a_choice() -> None:
    """DashScope has one form, so the gateway's setting means nothing there."""
    with pytest.raises(SettingsError, match="auto, flat, params"):
        client(Answers(), envelope="nested")
    assert client(Answers(), provider="dashscope", envelope="params").envelope == "flat"


def test_the_servers_clock_is_compared_with_ours() -> None:
    """Expiry is the service's 24 hours: with a wrong local clock the difference must be known."""
    answers = Answers(httpx.Response(200, json=ACCEPTED, headers={"date": "Fri, 09 Jan 2026 10:00:30 GMT"}))
    now_s = datetime(2026, 1, 9, 10, 0, 10, tzinfo=UTC).timestamp()
    c = client(answers, wall_clock=lambda: now_s)
    assert c.clock_offset_s is None
    run(submit, c)
    assert c.clock_offset_s == 20.0
    assert (c.can_cancel, c.can_list, c.provider, c.base_url) == (False, False, "gateway", BASE)
