"""Static outputs: harmless, bounded, readable without styles, and true."""

import base64
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import pytest

from tests.kit import House, ask, small_png
from wan_notebook.database import HistoryQuery
from wan_notebook.display import (
    Card,
    Column,
    Table,
    compare_bundle,
    cost_table,
    doctor_table,
    dry_run_bundle,
    history_table,
    job_bundle,
    live_state,
    picture_bundle,
    status_table,
)
from wan_notebook.figure import Axis, CompareItem, Comparison
from wan_notebook.magics import show_jobs_in_cells
from wan_notebook.replay import Submission
from wan_notebook.request import ImageRequest

HOSTILE = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)> $x$ \\(y\\) \u202eevil\u0007 `code` {{ 7*7 }}"


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """One folder and service for all tests."""
    made = House(tmp_path_factory.mktemp("house"))
    yield made
    made.close()


class Page(HTMLParser):
    """What a browser would make of an output: its tags, their attributes, its text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs

    def handle_data(self, data: str) -> None:
        self.text += data


def assert_harmless(html: str) -> Page:
    """Nothing runs, nothing is loaded from elsewhere, nothing reorders, and no formula begins."""
    page = Page(html)
    assert not {"script", "style", "iframe", "object", "svg"} & set(page.tags)
    assert not [name for name, _ in page.attributes if name.startswith("on")]
    for name, value in page.attributes:
        if name == "src":
            assert (value or "").startswith("data:image/")
    assert "\u202e" not in html
    assert "\u0007" not in html
    assert "49" not in re.sub(r"data:image[^\"]*", "", html).split("7*7")[0][-20:]
    bare = re.sub(r"<[^>]*>", "|", html)
    assert not re.search(r"\$[^|]*\$", bare)
    return page


@pytest.fixture(scope="module")
def outputs(house: House) -> dict[str, str]:
    """Every kind of output, of jobs with hostile texts."""
    session = house.kernel()
    show_jobs_in_cells()
    job = ask(session, HOSTILE, seed=1, n=2, tags=["<b>tag</b>"], name="fox").result(20)
    failed = ask(session, f"{HOSTILE} [[fail]]", seed=2)
    failed.wait(20)
    article = ask(session, HOSTILE, seed=3, interleave=True, max_images=2).result(20)
    plan = session.plan(Submission(requests=(ImageRequest(prompt=HOSTILE, n=3),), notes=(HOSTILE,)))
    item = CompareItem(label=HOSTILE, data=b"no picture", facts=((HOSTILE, HOSTILE),))
    lost, axis = CompareItem(label=HOSTILE, missing=HOSTILE), Axis(HOSTILE, (HOSTILE,), (HOSTILE,))
    table = Comparison((item, lost), axes=(axis, axis), cells=(((0, 1),),))
    return {
        "job": job_bundle(job, session)[0]["text/html"],
        "picture": picture_bundle(job[1], session)[0]["text/html"],
        "failed": job_bundle(failed, session)[0]["text/html"],
        "article": job_bundle(article, session)[0]["text/html"],
        "history": history_table(session, HistoryQuery(words="script")).to_html(),
        "cost": cost_table(session).to_html(),
        "status": status_table(session).to_html(),
        "doctor": doctor_table([(HOSTILE, "problem", HOSTILE, HOSTILE)]).to_html(),
        "dry run": dry_run_bundle(plan)[0]["text/html"],
        "compare": compare_bundle(Comparison((item, item), ((HOSTILE, HOSTILE),), columns=2))[0]["text/html"],
        "table": compare_bundle(table)[0]["text/html"],
        "message": Table(lines=[HOSTILE]).to_html(),
    }


def test_hostile_text_stays_text(outputs: dict[str, str]) -> None:
    """Text from outside is shown and never acts, in every output."""
    for kind, html in outputs.items():
        page = assert_harmless(html)
        assert kind in ("cost", "status") or "alert(1)" in page.text, kind


def test_the_status_of_a_service_without_a_key_says_what_to_do(house: House) -> None:
    """The next step is a key, not a picture that would be refused."""
    text = status_table(house.kernel(WAN_PROVIDER="gateway", WAN_API_KEY="")).to_text()
    assert re.search(r"gateway \(set in WAN_PROVIDER\): no key was found[^✓]*%wan login", text), text


def test_a_link_planted_in_the_cache_is_not_shown(house: House, tmp_path: Path) -> None:
    """What it leads to would stand in the saved notebook as a picture's small copy."""
    session = house.kernel()
    ask(session, "secret", seed=4).result(20)
    (tmp_path / "secret").write_bytes(b"secret")
    for _ in range(2):
        html = history_table(session, HistoryQuery(words="secret")).to_html()
        assert base64.b64encode(b"secret").decode() not in html
        for copy in (house.folder / ".cache").iterdir():
            copy.unlink()
            copy.symlink_to(tmp_path / "secret")


def test_an_output_stays_within_its_bytes(house: House) -> None:
    """Any number of pictures and any length of text fit into 400 KB, and what is left out is counted."""
    session = house.kernel()
    job = ask(session, "<" * 1900, seed=range(18), n=4, images=[small_png()]).result(60)
    data, metadata = job_bundle(job, session)
    assert sum(len(value.encode()) for value in data.values()) <= 400_000
    assert "8 more" in data["text/html"]
    assert len(metadata["wan"]["jobs"]) + metadata["wan"].get("jobs_left_off", 0) == 18


def test_a_table_is_the_same_in_html_and_text() -> None:
    """One description gives both, with empty columns left out and numbers to the right."""
    columns = (Column(title="Name"), Column(title="Empty"), Column(title="n", is_number=True))
    table = Table(title="Things", columns=columns, rows=[["fox `x`", "", "3"], ["owl", "", "12"]], notes=["`go`"])
    text, page = table.to_text(), Page(table.to_html())
    assert text.splitlines() == ["Things", "  Name    n", "  fox x   3", "  owl    12", "go"]
    assert "Empty" not in page.text
    assert page.tags.count("code") == 2


@pytest.mark.parametrize(
    ("remaining_s", "words"),
    [
        (None, ""),
        ((0.0, 0.5), "longer than usual"),
        ((1.0, 4.0), "a few seconds more"),
        ((18.0, 26.0), "about 20 s more"),
        ((100.0, 200.0), "about 2 min more"),
    ],
)
def test_time_left_is_said_as_a_person_would(
    house: House, monkeypatch: pytest.MonkeyPatch, remaining_s: tuple[float, float] | None, words: str
) -> None:
    """Nothing is said as long as nothing is known."""
    session = house.kernel()
    job = ask(session, "a fox", seed=5)
    monkeypatch.setattr(job.worker, "remaining_s", lambda _row: remaining_s)
    assert live_state(Card(job, session))["jobs"][0]["eta"] == words
