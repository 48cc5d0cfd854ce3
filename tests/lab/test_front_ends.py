"""One notebook in every place where people read it: Voilà, exported pages, paper, untrusted, sanitised, a terminal."""

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbconvert import HTMLExporter

from tests.lab.harness import Lab, VoilaPage, low_contrast, notebook_of, offline_page
from tests.lab.servers import clean_environment, write_kernelspec

QUICK = {"WAN_SIMULATOR_SECONDS": "0.2"}
CELLS = [
    "%load_ext wan_notebook",
    "%%wan --as fox --seed 5\na red fox in snow for $5 or $6",
    "%%wan --as owls -n 2 --seed 7 --tag forest\nan owl",
    "%%wan --interleave --max-images 2 --seed 9\nhow to draw an owl in two steps",
    "%%wan -i fox --as night --seed 6\nat night",
    "fox",
    "import wan_notebook as wan; wan.history()",
    "print(fox)",
    "%wan cost",
    "wan.compare(fox[0], night[0])",
]
PAINTED = "() => [...document.images].every(i => i.complete)"
# Each picture that belongs to an output: decoded, drawn, and as wide as a person can look at.
PICTURES = """sel => [...document.querySelectorAll(sel + ' img')].map(i =>
  ({shown: i.complete && i.naturalWidth > 0 && i.getBoundingClientRect().width >= 40, alt: i.alt}))"""


class Executed:
    """The notebook as `nbconvert --execute` left it: a notebook, its pages, and the folder with the pictures."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "notebook"
        self.folder.mkdir()
        self.env = env = clean_environment(folder / "home", QUICK)
        write_kernelspec(Path(env["JUPYTER_DATA_DIR"]), "python3", Path(sys.executable), {})
        nbformat.write(notebook_of(CELLS), self.folder / "a.ipynb")
        options = ["--execute", "--to=notebook", "--output=executed.ipynb"]
        command = [sys.executable, "-m", "nbconvert", *options, "a.ipynb"]
        done = subprocess.run(command, cwd=self.folder, env=env, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr[-3000:]
        self.path = self.folder / "executed.ipynb"
        for theme in ("light", "dark"):
            page, _ = HTMLExporter(theme=theme).from_filename(str(self.path))
            (self.folder / f"{theme}.html").write_text(page, encoding="utf-8")

    def html(self, cell: int) -> str:
        """Return the HTML of a cell's output."""
        return str(nbformat.read(self.path, as_version=4).cells[cell].outputs[0].data["text/html"])


@pytest.fixture(scope="module")
def executed(tmp_path_factory: pytest.TempPathFactory) -> Executed:
    """Run the notebook headless, once for all tests here."""
    return Executed(tmp_path_factory.mktemp("executed"))


def assert_pictures(page: Any, css: str, count: int) -> None:
    """Fail unless so many pictures are seen, each with words for those who do not see it."""
    page.wait_for_function(PAINTED)
    pictures = page.evaluate(PICTURES, css)
    assert len(pictures) == count
    assert all(p["shown"] and p["alt"] for p in pictures), pictures


def test_voila_shows_the_pictures(voila: VoilaPage) -> None:
    """In Voilà each cell waits for its job and shows the lasting result; no card is left that still runs."""
    voila.server.add_kernel("quick", Path(sys.executable), QUICK)
    voila.write("a.ipynb", CELLS[:4], kernel="quick")
    voila.open("a.ipynb")
    voila.page.wait_for_function("() => document.querySelectorAll('#rendered_cells img').length >= 5")

    assert_pictures(voila.page, "#rendered_cells", 5)
    assert (voila.page.locator("#rendered_cells").text_content() or "").count("saved") == 3
    assert voila.page.locator(".wan-card").count() == 0
    assert low_contrast(voila.page, "#rendered_cells .jp-OutputArea-output") == []


@pytest.mark.parametrize("javascript", [True, False], ids=["scripts", "no-scripts"])
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_an_exported_page_needs_no_network(executed: Executed, chromium: Any, theme: str, javascript: bool) -> None:
    """What nbconvert exports shows every picture and readable text offline, with and without JavaScript."""
    path = executed.folder / f"{theme}.html"
    with offline_page(chromium, path, javascript=javascript, dark=theme == "dark") as page:
        # 1 + 2 + 2 + 1, the fox again, four thumbnails of the history, two compared
        assert_pictures(page, ".jp-OutputArea-output", 14)
        text = page.locator("body").inner_text()
        assert low_contrast(page, ".jp-OutputArea-output") == []
    assert text.count("saved") >= 5
    assert "$0.00 simulated" in text


def test_an_untrusted_notebook_shows_the_gallery(lab: Lab, executed: Executed) -> None:
    """A notebook of somebody else's, whose outputs JupyterLab cleans before it shows them."""
    shutil.copytree(executed.folder / "wan-pictures", lab.folder / "wan-pictures")
    shutil.copy(executed.path, lab.folder / "theirs.ipynb")
    lab.open("theirs.ipynb")
    trusted = "() => [...window.jupyterapp.shell.currentWidget.content.model.cells].map(c => c.trusted)"
    assert True not in lab.page.evaluate(trusted)

    for theme in ("light", "dark"):
        lab.theme(theme)
        assert_pictures(lab.page, ".jp-NotebookPanel .jp-OutputArea-output", 14)
        assert low_contrast(lab.page, ".jp-NotebookPanel .jp-OutputArea-output") == []
    assert "for $5 or $6" in lab.out_text(1)
    assert lab.page.locator("mjx-container").count() == 0
    lab.output(1).locator("summary").click()
    assert lab.output(1).get_by_text("The cell that asks the same").is_visible()


# What a cautious site keeps: layout, text, relative links, pictures; no style, class, script, handler, unknown element.
SANITISE = """html => {
  const elements = new Set(('a b br code details div em h1 h2 h3 i img p pre s span strong sub summary sup table tbody '
    + 'td tfoot th thead tr ul ol li').split(' '));
  const attributes = new Set('align alt colspan dir height href open rowspan scope src title valign width'.split(' '));
  const box = document.createElement('article');
  box.innerHTML = html;
  for (const element of [...box.querySelectorAll('*')]) {
    const name = element.localName;
    if (['script', 'style', 'svg', 'iframe'].includes(name)) element.remove();
    else if (!elements.has(name)) element.replaceWith(...element.childNodes);
    else for (const {name: attribute, value} of [...element.attributes]) {
      const away = !attributes.has(attribute) || (attribute === 'href' && /^[a-z]+:/i.test(value));
      if (away) element.removeAttribute(attribute);
    }
  }
  document.body.append(box);
}"""


READ = """() => [...document.querySelectorAll('article')].map(a => ({
  text: a.innerText.split(/\\s+/).join(' '),
  alts: [...a.querySelectorAll('img')].map(i => i.naturalWidth > 0 && i.alt),
  order: [...a.querySelectorAll('img, code')].map(e => e.localName).join(' '),
  links: [...a.querySelectorAll('a')].map(e => e.getAttribute('href')),
}))"""


def test_a_site_that_removes_styles_and_scripts_still_reads(executed: Executed, chromium: Any, tmp_path: Path) -> None:
    """With every style, class, script and handler gone the order, the tables, links and picture texts make sense."""
    html = [executed.html(cell) for cell in (1, 2, 3, 6)]
    assert not re.search(r"<(script|style|svg|iframe|form)|\son\w+=|javascript:", "".join(html), re.IGNORECASE)
    path = tmp_path / "empty.html"
    path.write_text("<!doctype html><meta charset=utf-8><title>x</title><body></body>")
    with offline_page(chromium, path) as page:
        for part in html:
            page.evaluate(SANITISE, part)
        page.wait_for_function(PAINTED)
        fox, owls, article, history = parts = page.evaluate(READ)

    assert re.search("saved.*text to image.*fox.0.*seed 5.*full file.*1280×1280 px.*Prompt and", fox["text"])
    assert fox["alts"] == ["fox[0], seed 5: a red fox in snow for $5 or $6"]
    assert re.search("saved.*2 pictures.*owls.0.*seed 7.*owls.1.*seed 8.*Prompt and parameters", owls["text"])
    assert [alt.partition(":")[0] for alt in owls["alts"]] == ["owls[0], seed 7", "owls[1], seed 8"]
    assert "img code img code" in owls["order"]
    first, second = (re.escape(alt.partition(",")[0]) for alt in article["alts"])
    assert re.search(f"illustrated text.*{first}.*{second}", article["text"])  # text and pictures take turns
    assert re.search("History.*When / job.*how to draw an owl.*an owl.*a red fox in snow.*jobs", history["text"])
    for part in parts:
        assert all(part["alts"])
        assert all((executed.folder / link).is_file() for link in part["links"]), part["links"]


def test_nbval_passes_what_was_starred_and_tagged_since(executed: Executed) -> None:
    """`--wan-replay-only` needs no key and takes a choice that was made after the first run for no difference."""
    notebook = nbformat.read(executed.path, as_version=4)
    for cell in (notebook.cells[6], notebook.cells[8]):  # history and cost
        cell.metadata["tags"] = ["nbval-ignore-output"]
    nbformat.write(notebook, executed.folder / "study.ipynb")
    choose = "import wan_notebook as wan; fox = wan.history('fox in snow')[0]; fox[0].star(); fox[0].tag('study')"
    nbval = (
        "import pytest; pytest.main(['-qpnbval', '-pno:cacheprovider', '--nbval', '--wan-replay-only', 'study.ipynb'])"
    )
    for script in (choose, nbval):
        command = [sys.executable, "-c", script]
        done = subprocess.run(
            command, cwd=executed.folder, env=executed.env, capture_output=True, text=True, check=True
        )

    assert "10 passed" in done.stdout.splitlines()[-1], done.stdout[-3000:]


def test_a_plain_terminal_shows_text_with_file_paths(tmp_path: Path) -> None:
    """IPython without any notebook: a cell is read whole, waits, names its files; a failure is an error; exit 0."""
    lines = ["%load_ext wan_notebook", "%%wan --as fox --seed 5", "a red fox in snow", "", "", "fox", "print(fox)"]
    lines += [
        "%wan history",
        "%wan make --seed 7 a lime",
        "%wan make --seed 6 [[fail]] it",
        "%wan make --seed 8 --timeout 1 [[seconds:60]] an owl",
    ]
    command = [sys.executable, "-m", "IPython", "--simple-prompt", "--no-banner", "--colors=NoColor"]
    env = clean_environment(tmp_path / "home", QUICK)
    typed = "\n".join([*lines, ""])
    done = subprocess.run(command, input=typed, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=100)

    assert done.returncode == 0
    assert not done.stderr.strip()
    assert "<div" not in done.stdout
    files = re.findall(r"(/\S+\.png)", done.stdout)
    assert len(files) == 3, done.stdout  # the cell, `fox`, and the line
    assert re.search(r"Out\[\d\]: <Job .*'a lime'", done.stdout)  # no prompt with nothing behind it
    assert all(Path(file).stat().st_size > 10_000 for file in files)
    assert "<Job " in done.stdout
    assert re.search(r"JobFailed: job \w+ failed; failed jobs cost nothing", done.stdout)
    assert re.search(r"JobTimeout: job \w+ is still \w+ after 1 s; it goes on", done.stdout)
