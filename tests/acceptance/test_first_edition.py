"""What the first edition wrote is still read, answered and shown; nothing of it is paid again.

The frozen files and how they were made: `tests/data/first_edition/README.md`.
"""

import json
import re
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.acceptance.frozen import FIRST_EDITION, fetch, load, namespace_of, value_of
from tests.kit import CellId, NoRequests, ask, command, database_of, in_shell, kernel_in, submission_of
from wan_notebook.database import HistoryQuery, count_open
from wan_notebook.errors import ReplayError, StoreError
from wan_notebook.history import history
from wan_notebook.images import InputImage, PendingImage, former_identity, load_image, pixel_identity
from wan_notebook.jobs import cost_of, error_of, is_not_sent
from wan_notebook.metadata import read_metadata, read_sidecar
from wan_notebook.replay import Submission, former_readings
from wan_notebook.request import ImageRequest
from wan_notebook.research import open_bundle, verify_notebook
from wan_notebook.session import Plan, Session

JOBS: Mapping[str, Any] = load("jobs.json")
EXPECTED: Mapping[str, Any] = load("expected.json")
CELLS: Mapping[str, Any] = load("cells.json")

# Columns whose attribute has another name today.
RENAMED = {
    "state": "status",
    "simulated": "is_simulated",
    "starred": "is_starred",
    "rejected": "is_rejected",
    "batch_id": "group_id",
    "part": "group_position",
    "fp_asked": "request_hash",
    "fp_sent": "request_hash_with_seed",
    "metadata": "service_metadata",
    "idx": "index",
    "recipe_sha256": "metadata_sha256",
}
# What stands elsewhere (children, owner) or is not a column of the ledger.
LEFT_OUT = {"what", "cost_text", "inputs", "pictures", "owner_host", "owner_pid", "owner_started", "owner_token"}


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Session]]:
    """A copy of the frozen project in the zone in which it was made, and a kernel in it that asks nobody."""
    folder, network = tmp_path_factory.mktemp("study") / "paper", NoRequests()
    shutil.copytree(FIRST_EDITION / "project", folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TZ", "UTC")
        time.tzset()
        made = kernel_in(folder, network)
        yield folder, made
        made.close()
    time.tzset()
    assert network.asked == []


@pytest.fixture
def paper(study: tuple[Path, Session], monkeypatch: pytest.MonkeyPatch) -> Path:
    """The frozen project, as the working folder; tests leave it as it is."""
    monkeypatch.chdir(study[0])
    return study[0]


@pytest.fixture
def session(study: tuple[Path, Session], paper: Path, monkeypatch: pytest.MonkeyPatch) -> Session:
    """The kernel in the frozen project, in no cell."""
    monkeypatch.setattr(study[1], "cell", study[1].cell)
    return study[1]


@pytest.fixture
def silent() -> Iterator[NoRequests]:
    """A network on which no request may be seen."""
    network = NoRequests()
    yield network
    assert network.asked == []


def plain(value: Any) -> Any:
    """Return a value as JSON gives it back."""
    if isinstance(value, Decimal):
        return str(value)
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return value


def columns(row: object, frozen: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row's values under the first edition's names."""
    names = [name for name in frozen if name not in LEFT_OUT and name != "job_id"]
    found = {name: plain(getattr(row, RENAMED.get(name, name))) for name in names}
    if hint := getattr(row, "error_hint", ""):
        found["error_message"] += f"\n→ {hint}"
    return found


# ------------------------------------------------------------------ hashes


def identity_of(value: object) -> str:
    """Return the identity under which the first edition's request for a value is found."""
    if former := former_identity(value):
        return former
    image = load_image(value, name="photo", fetch=fetch)
    return image.former_identity or image.identity


@pytest.mark.parametrize("frozen", load("identities.json"), ids=lambda frozen: frozen["what"])
def test_a_picture_has_the_identity_it_had(frozen: Mapping[str, Any]) -> None:
    """It is in every request hash. Where a picture is read in another way today, its former identity is known."""
    if "pixel_identity" in frozen:
        assert pixel_identity(value_of(frozen["value"], PendingImage)) == frozen["pixel_identity"]
    else:
        assert identity_of(value_of(frozen["value"], PendingImage)) == frozen["identity"]


def images_of(specs: list[Any]) -> tuple[InputImage | PendingImage, ...]:
    """Return input pictures with the identity that the first edition gave them."""
    values = [value_of(spec, PendingImage) for spec in specs]
    return tuple(
        value
        if isinstance(value, PendingImage)
        else InputImage("photo", identity_of(value), b"", "image/png", 300, 300)
        for value in values
    )


@pytest.mark.parametrize("frozen", load("requests.json"), ids=lambda frozen: frozen["what"])
def test_a_request_has_the_hashes_it_had(frozen: Mapping[str, Any]) -> None:
    """Both hashes of every task, for every field, kind of input and mode: a changed one is paid again."""
    request = ImageRequest(**frozen["fields"], images=images_of(frozen["images"]))

    assert request.mode == frozen["mode"]
    assert request.pictures_asked == frozen["pictures_asked"]
    assert request.canonical(with_seed=False) == frozen.get("canonical", request.canonical(with_seed=False))
    assert request.request_hash(with_seed=request.seed is not None) == frozen["request_hash"]
    tasks = request.split(frozen["sent_seed"])
    found = [{"seed": t.seed, "request_hash_with_seed": t.request_hash(with_seed=True)} for t in tasks]
    assert found == frozen["tasks"]


@pytest.fixture(scope="module")
def read(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Submission]]:
    """How a kernel that may ask nobody reads a line and a body."""
    network = NoRequests()
    made = kernel_in(tmp_path_factory.mktemp("reader"), network)
    made.resolver = _resolver_of(made)  # type: ignore[method-assign]
    yield partial(submission_of, made, namespace=namespace_of(CELLS["namespace"], PendingImage))
    made.close()
    assert network.asked == []


@pytest.mark.parametrize("number", range(len(CELLS["cells"])), ids=lambda number: repr(CELLS["cells"][number]["line"]))
def test_a_cell_finds_what_the_first_edition_made_of_it(number: int, read: Callable[..., Submission]) -> None:
    """Read as it was, or in a new way with the former reading looked up first: the hashes are among them."""
    frozen = CELLS["cells"][number]
    submission = read(frozen["line"], frozen.get("body"))
    wanted = [{"request_hash": request["request_hash"], "tasks": request["tasks"]} for request in frozen["requests"]]

    readings = [submission.requests, *former_readings(submission)]
    assert wanted in [_hashes(reading) for reading in readings]
    if submission.refusal is None:
        assert (submission.name, list(submission.tags)) == (frozen["name"], frozen["tags"])


def _hashes(requests: tuple[ImageRequest, ...]) -> list[dict[str, Any]]:
    found = []
    for request in requests:
        tasks = request.split(7 if request.seed is None else request.seed)
        found.append(
            {
                "request_hash": request.request_hash(with_seed=request.seed is not None),
                "tasks": [{"seed": t.seed, "request_hash_with_seed": t.request_hash(with_seed=True)} for t in tasks],
            }
        )
    return found


def _resolver_of(session: Session) -> Any:
    """Return a resolver that knows unfinished jobs by any id, and pictures on one web site."""
    original = session.resolver

    def make(namespace: Mapping[str, Any], **options: Any) -> Any:
        resolver = original(namespace, **options)
        image = resolver.image
        resolver.job_image = lambda job_id, index, name: PendingImage(name=name, job_id=job_id, index=index)

        def with_web_site(value: object, name: str) -> Any:
            if isinstance(value, str) and value.startswith("https://pictures.example/"):
                return image(fetch(value), name)
            return (value,) if isinstance(value, PendingImage) else image(value, name)

        resolver.image = with_web_site
        return resolver

    return make


# ------------------------------------------------------------------ the folder


def test_every_row_reads_as_it_did(session: Session) -> None:
    """All columns, inputs and pictures of all 72 jobs, in every state."""
    for job_id, frozen in JOBS.items():
        row = database_of(session).get(job_id)
        assert columns(row, frozen) == {name: frozen[name] for name in columns(row, frozen)}, frozen["what"]
        assert [columns(p, f) for p, f in zip(row.pictures, frozen["pictures"], strict=True)] == [
            {name: value for name, value in f.items() if name != "job_id"} for f in frozen["pictures"]
        ]
        inputs = [{k: v for k, v in f.items() if k != "job_id"} for f in frozen["inputs"]]
        assert [columns(i, f) for i, f in zip(row.inputs, frozen["inputs"], strict=True)] == inputs
        cost, shown = cost_of(row), frozen["cost_text"]
        # "not sent" says more than "$0.00"; practice has one currency sign today.
        assert str(cost) == shown or frozen["state"] == "refused" or shown.startswith(f"{cost}"[:15]), shown
        assert row.owner_token == frozen["owner_token"]
    assert {frozen["state"] for frozen in JOBS.values()} == {
        *("intent", "sending", "accepted", "running", "succeeded", "saved"),
        *("refused", "failed", "cancelled", "in_doubt", "expired"),
    }


def test_what_is_open_is_counted_as_it_was(tmp_path: Path) -> None:
    """`%load_ext` tells the same without SQLAlchemy, also before the file is brought to today's schema."""
    summary = count_open(Path(shutil.copy(FIRST_EDITION / "project" / "wan-pictures" / "ledger.db", tmp_path)))

    for name, value in EXPECTED["open"].items():
        assert getattr(summary, {"unfetched": "to_fetch"}.get(name, name)) == value, name


@pytest.mark.parametrize("frozen", EXPECTED["queries"], ids=lambda frozen: json.dumps(frozen["query"]))
def test_the_history_finds_the_same(frozen: Mapping[str, Any], session: Session) -> None:
    """Every filter and order gives the same jobs and the same sums."""
    query = {{"state": "status", "tag": "tags"}.get(name, name): value for name, value in frozen["query"].items()}
    for name in ("tags", "status"):
        if isinstance(query.get(name), list):
            query[name] = tuple(query[name])
        elif name == "tags" and name in query:
            query[name] = (query[name],)
    if "running" in query:
        query["status"] = "open" if query.pop("running") else None
    page = database_of(session).history(HistoryQuery(**{"limit": 1000, **query}))

    assert [row.id for row in page.rows] == frozen["ids"]
    told = (page.total_rows, page.pictures, str(page.total))
    assert told == (frozen["total_rows"], frozen["pictures"], frozen["total"])


def test_the_history_as_data_says_the_same(session: Session) -> None:
    """Every column that the first edition exported is there under its name, with its value."""
    found = {record["id"]: record for record in history(limit=1000, session=session).to_dicts()}

    assert list(found) == [record["id"] for record in EXPECTED["records"]]
    for frozen in EXPECTED["records"]:
        record = found[frozen["id"]]
        if frozen["cost_amount"] == "0" and not frozen["simulated"]:  # nobody reported it: it was never billed
            frozen = {**frozen, "cost_amount": None, "cost_currency": None, "cost_source": "not billed"}
        for name, value in frozen.items():
            if name not in {"folder", "starred", "state", "error_message"}:
                assert plain(record[name]) == value, (frozen["id"], name)


@pytest.mark.parametrize("name", list(EXPECTED["spend"]))
def test_the_sums_are_the_same(name: str, session: Session) -> None:
    """What was spent, what is reserved, what was practice: by notebook and since a day, too."""
    frozen = EXPECTED["spend"][name]
    notebook = "/home/ann/paper/other.ipynb"
    query = {"simulated": {"simulated": True}, "other.ipynb": {"notebook": notebook}, "since": {"since": 1795392000.0}}
    spend = database_of(session).spend(**query.get(name, {}))

    abandoned = [job for job in JOBS.values() if job["state"] == "intent" and name in ("all", "since")]
    reserved = sum((amount for amount in spend.reserved.values()), Decimal(0))
    freed = sum((Decimal(job["reserved_amount"]) for job in abandoned), Decimal(0))  # nobody sends them by himself

    assert str(spend.total) == frozen["total"]
    for field in ("pictures_made", "pictures_saved", "jobs", "unpriced", "reserved_unknown"):
        assert getattr(spend, field) == frozen[field], field
    assert spend.pictures_reserved == frozen["pictures_reserved"] - sum(job["n"] for job in abandoned)
    assert reserved + freed == sum(map(Decimal, frozen["reserved"].values()), Decimal(0))


@pytest.mark.parametrize("by", list(EXPECTED["cost_by"]))
def test_the_cost_tables_are_the_same(by: str, session: Session) -> None:
    """By day, notebook, tag and person."""
    found = [
        {"key": row.key, "jobs": row.jobs, "pictures": row.pictures_saved, "total": str(row.total)}
        for row in database_of(session).cost_by(by)
    ]
    price = database_of(session).last_price("gateway", "wan2.6-image")

    assert found == EXPECTED["cost_by"][by]
    assert price is not None
    assert (str(price.amount), price.currency) == ("0.03", "USD")


def test_errors_groups_and_results_are_the_same(session: Session) -> None:
    """What did not end with a picture raises the same class; groups and the results of a request hold together."""
    database = database_of(session)
    for job_id, frozen in EXPECTED["errors"].items():
        row = database.get(job_id)
        assert is_not_sent(row) == frozen["never_sent"]
        known = [kind.__name__ for kind in type(error_of(row)).__mro__]
        assert frozen["class"] in known or frozen["never_sent"], job_id
    for group_id, members in EXPECTED["groups"].items():
        assert [row.id for row in database.group(group_id)] == members
    for request_hash, members in EXPECTED["results"].items():
        assert [row.id for row in database.results(request_hash)] == members
    for job_id, frozen in EXPECTED["events"].items():
        assert [[event.kind, str(event.status or "")] for event in database.events(job_id)] == frozen


def test_the_notebook_verifies(session: Session, paper: Path) -> None:
    """Every picture that the executed notebook shows is present and unchanged; one that changed is found."""
    checked = verify_notebook(session, paper / "study.ipynb")

    assert not checked.problems
    assert len(checked.checks) == len(EXPECTED["verify"]["checks"]) == 11
    assert [check.file for check in checked.checks] == [check["file"] for check in EXPECTED["verify"]["checks"]]
    picture = paper / "wan-pictures" / checked.checks[0].file
    sound = picture.read_bytes()
    picture.write_bytes(sound[:-20])
    assert verify_notebook(session, paper / "study.ipynb").problems
    picture.write_bytes(sound)


def test_pictures_and_sidecars_say_how_they_were_made(paper: Path) -> None:
    """The metadata in each PNG and beside it are read whole; their JSON is the same."""
    for file, frozen in EXPECTED["metadata"].items():
        path = paper / "wan-pictures" / file
        metadata = read_metadata(path.read_bytes())
        if frozen is None:
            assert metadata is None, file
            continue
        assert metadata is not None, file
        sidecar = read_sidecar(path.with_name(f"{path.name}.json").read_text("utf-8"))
        for found in (metadata, sidecar):
            written = json.loads(found.to_json())
            assert {name: written[name] for name in frozen} == frozen, file


# ------------------------------------------------------------------ recall


def test_a_picture_and_a_job_give_back_their_cell(session: Session) -> None:
    """`%wan recall picture.png` and `%wan recall JOB` write the cell that they wrote, without defaults."""
    files, jobs = (EXPECTED["recalled"][name].items() for name in ("pictures", "jobs"))
    cells = [(f'"wan-pictures/{file}"', text.replace(" --rewrite", "")) for file, (text, _) in files]
    cells += [(job_id, re.sub(" --size 1K| --rewrite", "", text)) for job_id, text in jobs]
    for word, cell in cells:
        assert in_shell(session, line=f"recall {word}") == [cell], word


# ------------------------------------------------------------------ replay


@pytest.mark.parametrize("kernel", EXPECTED["replay"], ids=lambda kernel: kernel["what"])
def test_the_folder_replays_without_a_request(kernel: Mapping[str, Any], paper: Path, silent: NoRequests) -> None:
    """Seeded and seedless calls are answered by the same jobs as before, or by none where they asked anew."""
    env = {"WAN_REPLAY": kernel["replay"]} if "replay" in kernel else {}
    session = kernel_in(paper, silent, provider=kernel.get("provider", "gateway"), **env)
    try:
        for call, answers in zip(kernel["calls"], kernel["answers"], strict=True):
            cell = CellId(**{**kernel.get("cell", {}), **call.get("cell", {})})
            session.cell = lambda cell=cell: cell
            assert _answers(session, call) == answers, call
    finally:
        session.close()


def _answers(session: Session, call: Mapping[str, Any]) -> list[str | None]:
    """Return the stored jobs that answer a call, None for each task that would be new; those are not created."""
    plans: list[Plan] = []
    plan, database = session.plan, database_of(session)

    def noted(submission: Any) -> Plan:
        plans.append(plan(submission))
        return plans[-1]

    def not_created(*_: object, **__: object) -> Any:
        raise StoreError("nothing is created here")

    session.plan, database.create_or_join = noted, not_created  # type: ignore[method-assign]
    try:
        if "line" in call:
            in_shell(session, cell=(call["line"], call["body"]))
        else:
            ask(session, call["prompt"], images=_given(session, call["images"]), **call["options"])
    except (StoreError, ReplayError):
        pass
    finally:
        del session.plan, database.create_or_join
    return [job.result.id if job.result is not None and not job.is_open else None for job in plans[-1].jobs]


def _given(session: Session, names: list[str]) -> list[Any]:
    found: list[Any] = []
    for name in names:
        if name.startswith("job:"):
            job_id, _, index = name[4:].partition("/")
            job = session.job(job_id)
            found.append(job[int(index)] if index else job)
        elif name == "turned":
            found.append(Image.open("phone.jpg").rotate(-90, expand=True))
        else:
            found.append(name)
    return found


# ------------------------------------------------------------------ bundles and commands


def test_a_bundle_opens(tmp_path: Path, silent: NoRequests, monkeypatch: pytest.MonkeyPatch) -> None:
    """Jobs, pictures, notebook and $0.00, in an empty project; opened twice it changes nothing; it verifies."""
    frozen = load("bundle.json")
    monkeypatch.chdir(tmp_path)
    session = kernel_in(tmp_path, silent)
    open_bundle(FIRST_EDITION / "study.zip", session)
    open_bundle(FIRST_EDITION / "study.zip", session)
    database = database_of(session)
    rows = database.history(HistoryQuery(limit=100)).rows

    found = [(r.id, str(cost_of(r)), str(r.status), r.prompt, [p.file for p in r.pictures]) for r in rows]
    names = ("id", "cost", "state", "prompt", "files")
    assert found == [tuple(job[name] for name in names) for job in frozen["history"]]
    assert str(database.spend().total) == frozen["spend"]
    assert not verify_notebook(session, tmp_path / "study.ipynb").problems
    session.close()


def test_practice_and_commands_work_in_the_old_folder(session: Session, capsys: pytest.CaptureFixture[str]) -> None:
    """History, cost and budget are shown without a request; the notebook's budget is still in force."""
    for line in ("history", "cost", "budget"):
        command(session, line)
    capsys.readouterr()
    session.cell = lambda: CellId(notebook="/home/ann/paper/other.ipynb")

    assert [budget.text for budget in session.budgets.all()] == ["40 pictures per notebook"]
