"""The options of a cell and the commands of ``%wan``: the one table for parser, help, completion and README."""

import argparse
from functools import cache
from typing import Final

from ..models import MODEL, MODELS, PROVIDERS, RATIOS
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
STATES: Final = ("waiting", "running", "saved", "refused", "failed", "cancelled", "in doubt", "expired", "not sent")
"""Plain words for the states of a job."""
EXAMPLES: Final = {
    "image": "%%wan -i photo -i cat.jpg",
    "n": "%%wan -n 3",
    "max_images": "%%wan --interleave --max-images 3",
    "size": "%%wan --size 16:9",
    "like": "%%wan -i cat -i photo --like photo",
    "seed": "%%wan --seed 5..8",
    "negative": '%%wan --negative "text, frame"',
    "interleave": "%%wan --interleave",
    "prompt_extend": "%%wan -i photo --no-rewrite",
    "watermark": "%%wan --watermark",
    "name": "%%wan --as fox",
    "wait": "%%wan --wait",
    "timeout": "%%wan --wait --timeout 5m",
    "dry_run": "%%wan -n 3 --dry-run",
    "raw": "%%wan --raw",
    "fresh": "%%wan --seed 5 --fresh",
    "tags": "%%wan --tag poster",
    "provider": "%%wan --provider simulator",
    "embed": "%%wan --no-embed",
}
"""A line for each option of a cell, which `%wan help size` shows."""
_SWITCH: Final = "store_true"
_YES_NO: Final = argparse.BooleanOptionalAction
_IMAGE_HELP: Final = (
    "a picture to use: a variable or expression (photo, d['key'], a[0], a list), a path, a URL, or a job's id "
    "(a3f9c2[0]); repeat it for image 1, image 2, …"
)


@cache
def cell_parser() -> LineParser:
    """Return the parser of a ``%%wan`` line."""
    parser = LineParser("%%wan", "make pictures: the text below is the prompt", example="%%wan --seed 5")
    _add_cell_options(parser)
    return parser


@cache
def command_parsers() -> dict[str, LineParser]:
    """Return the parser of each ``%wan`` command by its name; ``""`` is ``%wan`` alone."""
    parsers = [*_job_commands(), *_record_commands(), *_setup_commands(), *_research_commands()]
    return {parser.prog.removeprefix("%wan").strip(): parser for parser in parsers}


ALIASES: Final = {"defaults": "config", "status": ""}
"""Other names of commands."""


def find_command(name: str) -> LineParser | None:
    """Return the parser of a command by its name or another name of it."""
    return command_parsers().get(ALIASES.get(name, name)) if name else None


def _command(name: str, summary: str, usage: str = "", least: int = 0, example: str = "") -> LineParser:
    prog = f"%wan {name}".rstrip()
    return LineParser(prog, summary, usage=usage, least=least, example=f"{prog} {example}".rstrip())


def _add_cell_options(parser: LineParser) -> None:
    limits, add = MODELS[MODEL], parser.argument
    add("-i", "--image", kind=Kind.IMAGE, repeatable=True, help=_IMAGE_HELP)
    n_help = f"how many pictures (1): up to {limits.n_max} when editing, one task each without images"
    add("-n", kind=Kind.NUMBER, help=n_help)
    most, usual = limits.max_images_max, limits.max_images_default
    add("--max-images", kind=Kind.NUMBER, help=f"illustrated text: at most so many pictures, 1 to {most} ({usual})")
    size_help = "1K or 2K (editing), a ratio such as 16:9, or pixels: 1280x720"
    add("--size", "--ar", kind=Kind.SIZE, choices=(*limits.tiers, *RATIOS), help=size_help)
    add("--like", kind=Kind.IMAGE, help="the result takes this picture's shape, at the tier of --size")
    add("--seed", kind=Kind.SEED, help=f"0 to {limits.seed_max}; 5..8, 5,9,12 or a list make one job per seed")
    add("--negative", kind=Kind.TEXT, help="what to avoid; or a last paragraph 'Negative prompt: …'")
    add("--interleave", action=_SWITCH, help="illustrated text: paragraphs and pictures in turn")
    rewrite_help = "editing: the service rewrites the prompt (on); also --prompt-extend [true|false]"
    add("--rewrite", "--prompt-extend", action=_YES_NO, dest="prompt_extend", help=rewrite_help)
    add("--watermark", action=_YES_NO, help="'AI Generated' in the lower right corner (off)")
    add("--as", kind=Kind.NAME, dest="name", help="bind the job to this variable")
    add("--wait", action=_YES_NO, help="wait for the pictures, or return at once")
    add("--timeout", kind=Kind.DURATION, help="wait at most so long: 90, 90s, 15m; the job itself goes on")
    add("--dry-run", action=_SWITCH, help="show the request and the most it can cost; send nothing")
    add("--raw", action=_SWITCH, help="take the text as it stands: {braces} are not replaced")
    add("--fresh", action=_SWITCH, help="ask the service again, even if the store has the answer")
    add("--tag", kind=Kind.TAG, dest="tags", repeatable=True, help="a word to find it by in the history")
    add("--provider", kind=Kind.CHOICE, metavar="SERVICE", choices=PROVIDERS, help="where to send it")
    add("--embed", action=_YES_NO, help="write the recipe into the picture file (on)")


def _job_commands() -> list[LineParser]:
    make = _command("make", "make a picture from one line of text", "[options] TEXT", example="a fox in snow --seed 5")
    _add_cell_options(make)
    show = _command("show", "show a job's pictures again (the last job's)", "[JOB] [--all] [--takes]", example="fox")
    show.argument("job", kind=Kind.JOB)
    show.argument("--all", action=_SWITCH, help="every picture, however many")
    show.argument("--takes", action=_SWITCH, help="all answers to the same request, side by side")
    wait = _command("wait", "wait for a job, or for all", "[JOB] [--timeout SECONDS]", example="fox --timeout 5m")
    wait.argument("job", kind=Kind.JOB)
    wait.argument("--timeout", kind=Kind.DURATION, help="wait at most so long: 90, 90s, 15m; the jobs go on")
    cancel = _command("cancel", "cancel a job, where the service can", "JOB | --all", example="fox")
    cancel.argument("job", kind=Kind.JOB)
    cancel.argument("--all", action=_SWITCH, help="everything that is not finished")
    summary = "pick up unfinished jobs and download what is ready"
    resume = _command("resume", summary, "[--all]", example="--all")
    resume.argument("--all", action=_SWITCH, help="also jobs that were made with another key")
    usage = "JOB [adopt TASK | again | abandon]"
    resolve = _command("resolve", "decide about a job that may or may not have arrived", usage, 1, "a3f9c2 again")
    resolve.argument("job", kind=Kind.JOB)
    resolve.argument("choice", kind=Kind.CHOICE, choices=("adopt", "again", "abandon"))
    resolve.argument("task", kind=Kind.TEXT)
    summary, usage = "save a job's pictures, or one (job[0]), as .png, .jpg or .webp", "JOB PATH [--clean] [--force]"
    save = _command("save", summary, usage, 2, "fox[0] fox.jpg")
    save.argument("job", kind=Kind.JOB)
    save.argument("path", kind=Kind.PATH)
    save.argument("--clean", action=_SWITCH, help="without the recipe")
    save.argument("--force", action=_SWITCH, help="replace whatever file is there")
    return [_command("", "status, and what to do next"), make, show, wait, cancel, resume, resolve, save]


def _record_commands() -> list[LineParser]:
    history = _command(
        "history", "what was asked and made, newest first", "[WORDS] [options]", example="fox --since 7d"
    )
    history.argument("words", kind=Kind.WORDS)
    history.argument("--running", action=_SWITCH, help="only what is not finished")
    since_help = "today, yesterday, monday, 7d, 12h, '1 week', or a day such as 2026-11-24"
    history.argument("--since", kind=Kind.SINCE, metavar="WHEN", help=since_help)
    _add_tag(history)
    notebook_help = "of this notebook, or the one named"
    history.argument("--notebook", kind=Kind.TEXT, nargs="?", const="", metavar="NAME", help=notebook_help)
    history.argument("--seed", kind=Kind.NUMBER, help="with this seed")
    states_help = f"in this state: {', '.join(STATES)}"
    history.argument("--state", kind=Kind.TEXT, metavar="STATE", choices=STATES, help=states_help)
    history.argument("--starred", action=_SWITCH, help="only starred ones")
    history.argument("--trash", action=_SWITCH, help="what is in the trash")
    history.argument("--everywhere", action=_SWITCH, help="in all your folders")
    history.argument("--limit", kind=Kind.NUMBER, help="at most so many (20)")
    cost = _command("cost", "what it cost", "[--by day|notebook|tag|user] [--everywhere]", example="--by day")
    by = ("day", "notebook", "tag", "user")
    cost.argument("--by", kind=Kind.CHOICE, metavar="WHAT", choices=by, help="a row for each")
    cost.argument("--everywhere", action=_SWITCH, help="in all your folders")
    usage = "[AMOUNT [pictures] | off] [--per day|notebook|total]"
    budget = _command("budget", "show or set limits on spending", usage, example="5.00 --per day")
    budget.argument("words", kind=Kind.WORDS, choices=("pictures", "off"))
    per = ("day", "notebook", "total")
    budget.argument("--per", kind=Kind.CHOICE, metavar="WHAT", choices=per, help="the limit is for")
    star = _command("star", "star a job or one picture (job[0]), or take the star away", "JOB", 1, "fox[0]")
    star.argument("job", kind=Kind.JOB)
    tag = _command("tag", "add tags to a job, or take them away", "JOB TAG … [--remove]", 2, "fox poster final")
    tag.argument("job", kind=Kind.JOB)
    tag.argument("words", kind=Kind.TAGS)
    tag.argument("--remove", action=_SWITCH, help="take these tags away")
    summary = "delete pictures, inputs and prompt after 30 days; the cost stays"
    trash = _command("trash", summary, "JOB [--undo]", 1, "fox")
    trash.argument("job", kind=Kind.JOB)
    trash.argument("--undo", action=_SWITCH, help="take it out of the trash")
    return [history, cost, budget, star, tag, trash]


def _setup_commands() -> list[LineParser]:
    summary = "choose the service and give it a key; nothing typed is shown"
    login = _command("login", summary, "[gateway | dashscope]", example="gateway")
    login.argument("service", kind=Kind.TEXT, choices=SERVICES)
    logout = _command("logout", "remove the stored key of a service, or of both", "[gateway | dashscope]")
    logout.argument("service", kind=Kind.TEXT, choices=SERVICES)
    config = _command("config", "show or set defaults", "[KEY=VALUE …]", example="price.gateway=0.03")
    config.argument("words", kind=Kind.WORDS, choices=tuple(f"{key}=" for key in CONFIG_KEYS))
    doctor = _command("doctor", "check keys, service, folder and front end")
    nest = _command("nest", "let cells written for scripts call asyncio.run (ipykernel 6)")
    summary, usage = "show this help, or that of a command or option", "[COMMAND | OPTION]"
    help_command = _command("help", summary, usage, example="size")
    help_command.argument("topic", kind=Kind.TEXT)
    return [login, logout, config, doctor, nest, help_command]


def _research_commands() -> list[LineParser]:
    panel = _command("panel", "open the panel", "[--from JOB]", example="--from fox")
    panel.argument("--from", kind=Kind.JOB_OR_FILE, dest="job", help="filled in from this job or picture")
    summary = "write the cell that made it below, without running it"
    recall = _command("recall", summary, "JOB | PICTURE", 1, "fox.png")
    recall.argument("job", kind=Kind.JOB_OR_FILE)
    usage = "PATH [--tag TAG] [--all-takes] | --open PATH"
    bundle = _command("bundle", "pack the notebook and its pictures, or unpack", usage, example="study.zip")
    bundle.argument("path", kind=Kind.PATH)
    _add_tag(bundle)
    bundle.argument("--all-takes", action=_SWITCH, help="every take, not only the shown ones")
    bundle.argument("--open", kind=Kind.PATH, help="merge a bundle into this project")
    verify = _command("verify", "check that every picture shown is present and unchanged", "[NOTEBOOK]")
    verify.argument("path", kind=Kind.PATH)
    methods = _command("methods", "a paragraph for the paper", "[--tag TAG] [--latex]", example="--tag study")
    _add_tag(methods)
    methods.argument("--latex", action=_SWITCH, help="as LaTeX")
    return [panel, recall, bundle, verify, methods]


def _add_tag(parser: LineParser) -> None:
    parser.argument("--tag", kind=Kind.TAG, dest="tags", repeatable=True, help="with this tag; of several, with all")
