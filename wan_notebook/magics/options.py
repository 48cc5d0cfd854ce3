"""The options of a cell and the commands of ``%wan``: the one table for parser, help, completion and README."""

import argparse
import textwrap
from collections.abc import Iterable
from functools import cache
from typing import Any, Final

from ..database import STATES
from ..errors import CellError
from ..models import MODEL, MODELS, PROVIDERS, RATIOS
from ..text import did_you_mean, shown
from .parser import Kind, LineParser

SERVICES: Final = tuple(name for name in PROVIDERS if name != "simulator")
"""The services that take a key."""
CONFIG_KEYS: Final = {
    "price": "price of a picture: price.gateway=0.03; off forgets it",
    "provider": "gateway, dashscope, simulator, or auto: the one that has a key",
    "wait": "on: cells wait for their pictures; off: they return at once; auto: as the front end needs",
    "embed": "on: write the recipe into picture files; off: leave it out",
    "replay": "on; only: show what is in the store, never ask; off: always ask",
    "envelope": "form of the gateway's requests: auto, flat or params",
    "polling": "prompt; economical: check the status less often",
}
ALIASES: Final = {"defaults": "config", "status": ""}
"""Other names of commands."""
_EXAMPLES: Final = (  # `%wan help size` shows the first one with that option
    "%%wan -i photo -n 3 --size 16:9 --seed 5..8",
    '%%wan --negative "text, frame" --as fox --tag poster --fresh',
    "%%wan -i cat -i photo --like photo --no-rewrite --watermark",
    "%%wan --interleave --max-images 3 --raw",
    "%%wan --wait --timeout 5m --provider simulator --no-embed",
    "%%wan -n 3 --dry-run",
)
_LEFT: Final = 30
_WIDTH: Final = 100
_HEAD: Final = """\
%%wan [options]     the text below is the prompt; {name} stands for a variable
%wan make TEXT      the same in one line; options before or after the text
_wan                the last job of another cell: -i _wan goes on from its picture"""
_EXAMPLE: Final = """\
Example
  %%wan -i photo --size 2K -n 2 --seed 5
  A watercolour of {animal} in the snow.
  Negative prompt: text, frame"""


@cache
def cell_parser() -> LineParser:
    """Return the parser of a ``%%wan`` line."""
    return _with_cell_options(LineParser("%%wan", "make pictures: the text below is the prompt", "%%wan --seed 5"))


@cache
def command_parsers() -> dict[str, LineParser]:
    """Return the parser of each ``%wan`` command by its name; ``""`` is ``%wan`` alone."""
    parsers = [*_job_commands(), *_record_commands(), *_setup_commands(), *_research_commands()]
    return {parser.prog.removeprefix("%wan").strip(): parser for parser in parsers}


def find_command(name: str) -> LineParser | None:
    """Return the parser of a command by its name or another name of it."""
    return command_parsers().get(ALIASES.get(name, name)) if name else None


def _command(synopsis: str, summary: str, example: str = "", least: int = 0, **words: Kind) -> LineParser:
    """Return a command's parser; ``words`` are its positional words, of which ``least`` must be given."""
    prog = f"%wan {synopsis.partition(' ')[0]}".rstrip()
    parser = LineParser(prog, summary, f"{prog} {example}".rstrip(), synopsis=f"%wan {synopsis}".rstrip(), least=least)
    for name, kind in words.items():
        parser.argument(name, kind)
    return parser


def _with_cell_options(parser: LineParser) -> LineParser:
    limits, option = MODELS[MODEL], parser.argument
    yes_no: dict[str, Any] = {"action": argparse.BooleanOptionalAction}
    image_help = (
        "a picture to use: a variable or expression (photo, d['key'], a[0], a list), a path, a URL, or a job's id"
    )
    image_help += " (a3f9c2[0]); repeat it for image 1, image 2, …"
    option("-i --image", Kind.IMAGE, image_help)
    n_help = f"how many pictures (1): up to {limits.n_max} when editing, one task each without images"
    option("-n", Kind.NUMBER, n_help)
    parser.switches(interleave="illustrated text: paragraphs and pictures in turn")
    most, usual = limits.max_images_max, limits.max_images_default
    option("--max-images", Kind.NUMBER, f"illustrated text: at most so many pictures, 1 to {most} ({usual})")
    size_help = "1K or 2K (editing), a ratio such as 16:9, or pixels: 1280x720"
    option("--size --ar", Kind.SIZE, size_help, choices=(*limits.tiers, *RATIOS))
    option("--like", Kind.IMAGE, "the result takes this picture's shape, at the tier of --size")
    option("--seed", Kind.SEED, f"0 to {limits.seed_max}; 5..8, 5,9,12 or a list make one job per seed")
    option("--negative", Kind.TEXT, "what to avoid; or a last paragraph 'Negative prompt: …'")
    rewrite_help = "editing: the service rewrites the prompt (on); also --prompt-extend [true|false]"
    option("--rewrite --prompt-extend", help=rewrite_help, dest="prompt_extend", **yes_no)
    option("--watermark", help="'AI Generated' in the lower right corner (off)", **yes_no)
    option("--as", Kind.NAME, "bind the job to this variable", dest="name")
    option("--wait", help="wait for the pictures, or return at once", **yes_no)
    option("--timeout", Kind.DURATION, "wait at most so long: 90, 90s, 15m; the job itself goes on")
    parser.switches(
        dry_run="show the request and the most it can cost; send nothing",
        raw="take the text as it stands: {braces} are not replaced",
        fresh="ask the service again, even if the store has the answer",
    )
    option("--tag", Kind.TAG, "a word to find it by in the history", dest="tags")
    option("--provider", Kind.CHOICE, "where to send it", metavar="SERVICE", choices=PROVIDERS)
    option("--embed", help="write the recipe into the picture file (on)", **yes_no)
    return parser


def _job_commands() -> list[LineParser]:
    make = _command("make [options] TEXT", "make a picture from one line of text", "a fox in snow --seed 5")
    _with_cell_options(make)
    show = _command("show [JOB] [--all] [--takes]", "show a job's pictures again (the last job's)", "fox", job=Kind.JOB)
    show.switches(all="every picture, however many", takes="all answers to the same request, side by side")
    wait = _command("wait [JOB] [--timeout SECONDS]", "wait for a job, or for all", "fox --timeout 5m", job=Kind.JOB)
    wait.argument("--timeout", Kind.DURATION, "wait at most so long: 90, 90s, 15m; the jobs go on")
    cancel = _command("cancel JOB | --all", "cancel a job, where the service can", "fox", job=Kind.JOB)
    cancel.switches(all="everything that is not finished")
    resume = _command("resume [--all]", "pick up unfinished jobs and download what is ready", "--all")
    resume.switches(all="also jobs that were made with another key")
    synopsis, summary = "JOB [adopt TASK | again | abandon]", "decide about a job that may or may not have arrived"
    resolve = _command(f"resolve {synopsis}", summary, "a3f9c2 again", 1, job=Kind.JOB)
    resolve.argument("choice", Kind.CHOICE, choices=("adopt", "again", "abandon"))
    resolve.argument("task", Kind.TEXT)
    summary = "save a job's pictures, or one (job[0]), as .png, .jpg or .webp"
    save = _command("save JOB PATH [--clean] [--force]", summary, "fox[0] fox.jpg", 2, job=Kind.JOB, path=Kind.PATH)
    save.switches(clean="without the recipe", force="replace whatever file is there")
    return [_command("", "status, and what to do next"), make, show, wait, cancel, resume, resolve, save]


def _record_commands() -> list[LineParser]:
    summary = "what was asked and made, newest first"
    history = _command("history [WORDS] [options]", summary, "fox --since 7d", words=Kind.WORDS)
    history.switches(running="only what is not finished")
    since_help = "today, yesterday, monday, 7d, 12h, '1 week', or a day such as 2026-11-24"
    history.argument("--since", Kind.SINCE, since_help, metavar="WHEN")
    history.argument("--tag", **_WITH_TAG)
    notebook_help = "of this notebook, or the one named"
    history.argument("--notebook", Kind.TEXT, notebook_help, nargs="?", const="", metavar="NAME")
    history.argument("--seed", Kind.NUMBER, "with this seed")
    history.argument("--state", Kind.TEXT, f"in this state: {', '.join(STATES)}", metavar="STATE", choices=STATES)
    history.switches(starred="only starred ones", trash="what is in the trash", everywhere="in all your folders")
    history.argument("--limit", Kind.NUMBER, "at most so many (20)")
    cost = _command("cost [--by day|notebook|tag|user] [--everywhere]", "what it cost", "--by day")
    by = ("day", "notebook", "tag", "user")
    cost.argument("--by", Kind.CHOICE, "a row for each", metavar="WHAT", choices=by)
    cost.switches(everywhere="in all your folders")
    synopsis = "budget [AMOUNT [pictures] | off] [--per day|notebook|total]"
    budget = _command(synopsis, "show or set limits on spending", "5.00 --per day")
    budget.argument("words", Kind.WORDS, choices=("pictures", "off"))
    per = ("day", "notebook", "total")
    budget.argument("--per", Kind.CHOICE, "the limit is for", metavar="WHAT", choices=per)
    summary = "star a job or one picture (job[0]), or take the star away"
    star = _command("star JOB", summary, "fox[0]", 1, job=Kind.JOB)
    synopsis, summary = "tag JOB TAG … [--remove]", "add tags to a job, or take them away"
    tag = _command(synopsis, summary, "fox poster final", 2, job=Kind.JOB, words=Kind.TAGS)
    tag.switches(remove="take these tags away")
    summary = "delete pictures, inputs and prompt after 30 days; the cost stays"
    trash = _command("trash JOB [--undo]", summary, "fox", 1, job=Kind.JOB)
    trash.switches(undo="take it out of the trash")
    return [history, cost, budget, star, tag, trash]


def _setup_commands() -> list[LineParser]:
    summary = "choose the service and give it a key; nothing typed is shown"
    login = _command("login [gateway | dashscope]", summary, "gateway")
    logout = _command("logout [gateway | dashscope]", "remove the stored key of a service, or of both")
    for parser in (login, logout):
        parser.argument("service", Kind.TEXT, choices=SERVICES)
    config = _command("config [KEY=VALUE …]", "show or set defaults", "price.gateway=0.03")
    config.argument("words", Kind.WORDS, choices=tuple(f"{key}=" for key in CONFIG_KEYS))
    doctor = _command("doctor", "check keys, service, folder and front end")
    nest = _command("nest", "let cells written for scripts call asyncio.run (ipykernel 6)")
    summary = "show this help, or that of a command or option"
    return [login, logout, config, doctor, nest, _command("help [COMMAND | OPTION]", summary, "size", topic=Kind.TEXT)]


def _research_commands() -> list[LineParser]:
    panel = _command("panel [--from JOB]", "open the panel", "--from fox")
    panel.argument("--from", Kind.JOB_OR_FILE, "filled in from this job or picture", dest="job")
    summary = "write the cell that made it below, without running it"
    recall = _command("recall JOB | PICTURE", summary, "fox.png", 1, job=Kind.JOB_OR_FILE)
    synopsis = "bundle PATH [--tag TAG] [--all-takes] | --open PATH"
    bundle = _command(synopsis, "pack the notebook and its pictures, or unpack", "study.zip", path=Kind.PATH)
    bundle.argument("--tag", **_WITH_TAG)
    bundle.switches(all_takes="every take, not only the shown ones")
    bundle.argument("--open", Kind.PATH, "merge a bundle into this project")
    summary = "check that every picture shown is present and unchanged"
    verify = _command("verify [NOTEBOOK]", summary, path=Kind.PATH)
    methods = _command("methods [--tag TAG] [--latex]", "a paragraph for the paper", "--tag study")
    methods.argument("--tag", **_WITH_TAG)
    methods.switches(latex="as LaTeX")
    return [panel, recall, bundle, verify, methods]


_WITH_TAG: Final[dict[str, Any]] = {
    "kind": Kind.TAG,
    "help": "with this tag; of several, with all",
    "dest": "tags",
}


# Help ----------------------------------------------------------------------------------------------------------------


def help_text() -> str:
    """Return the help that ``%wan?`` and ``%%wan?`` show."""
    options = ["Options", *_columns(_option_rows(cell_parser()))]
    return "\n\n".join([_HEAD, "\n".join(options), "\n".join(["Commands", *_columns(_command_rows())]), _EXAMPLE])


def topic_help(topic: str) -> str:
    """Return the help of a command or an option, with an example. Raise ``CellError`` for anything else."""
    word = topic.lower().lstrip("-%")
    found = []
    if (parser := find_command(word)) is not None:
        rows = [("…", "all options of %%wan")] if parser.prog == "%wan make" else _option_rows(parser)
        rows = [*CONFIG_KEYS.items(), *rows] if parser.prog == "%wan config" else rows
        found.append(
            "\n".join([parser.synopsis, f"  {parser.summary}", *_columns(rows), "", f"Example: {parser.example}"])
        )
    names: list[str] = [*filter(None, command_parsers()), *ALIASES]
    for option in cell_parser().options[1:]:
        flags = [name.lstrip("-") for name in option.option_strings]
        names += flags
        if word in flags:
            examples = (line for line in _EXAMPLES if {*line.split()} & {*option.option_strings})
            example = next(examples, f"%%wan {_flags(option)}")
            found.append(f"{_flags(option)}\n  {option.help}\n\nExample: {example}")
    if not found:
        hint = did_you_mean(word, names) or "`%wan?` lists all of them."
        raise CellError(f"{shown(topic)} is not a command or an option.", hint=hint)
    return "\n\n".join(found)


def options_table_markdown() -> str:
    """Return the table of options as the README shows it."""
    return _markdown("Option", _option_rows(cell_parser()))


def commands_table_markdown() -> str:
    """Return the table of commands as the README shows it."""
    return _markdown("Command", _command_rows())


def _command_rows() -> list[tuple[str, str]]:
    return [(parser.synopsis, parser.summary) for parser in command_parsers().values()]


def _option_rows(parser: LineParser) -> list[tuple[str, str]]:
    return [(_flags(action), str(action.help)) for action in parser.options if action.dest != "help"]


def _flags(action: argparse.Action) -> str:
    """Return an option as help shows it: ``-i, --image IMAGE``."""
    value = f" [{action.metavar}]" if action.nargs == "?" else f" {action.metavar}" if action.nargs != 0 else ""
    return ", ".join(action.option_strings[:2]) + value


def _columns(rows: Iterable[tuple[str, str]]) -> list[str]:
    lines = []
    for left, right in rows:
        texts = textwrap.wrap(right, _WIDTH - _LEFT - 4, break_on_hyphens=False)
        if len(left) > _LEFT:
            lines.append(f"  {left}")
            left = ""
        lines += [f"  {left if number == 0 else '':{_LEFT}}  {text}" for number, text in enumerate(texts)]
    return lines


def _markdown(head: str, rows: Iterable[tuple[str, str]]) -> str:
    cells = [(left.replace("|", "\\|"), right.replace("|", "\\|")) for left, right in rows]
    return "\n".join([f"| {head} | What it does |", "|---|---|", *(f"| `{left}` | {right} |" for left, right in cells)])
