"""The options of a cell and the commands of ``%wan``: the one table for parser, help, completion and README."""

import argparse
import textwrap
from collections.abc import Iterable
from functools import cache
from typing import Any, Final

from ..database import STATES
from ..errors import CellError
from ..models import MODEL, MODELS, PROVIDERS, RATIOS, TIERS, Mode
from ..text import did_you_mean, shown
from .parser import Argument, Kind, LineParser

SERVICES: Final = tuple(name for name in PROVIDERS if name != "simulator")
"""The services that take a key."""
CONFIG_KEYS: Final = {
    "price": "price of a picture: price.gateway=0.03; list: budgets go by the list price; off forgets it",
    "provider": "gateway, dashscope, simulator, or auto: the one that has a key",
    "wait": "on: cells wait for their pictures; off: they return at once; auto: as the front end needs",
    "embed": "on: write the recipe into picture files; off: leave it out",
    "replay": "on; only: show what is in the store, never ask; off: always ask",
    "envelope": "form of the gateway's requests: auto, flat or params",
    "polling": "prompt; economical: check the status less often",
}
ALIASES: Final = {"defaults": "config", "status": "", "-h": "help", "--help": "help"}
"""Other names of commands."""


def _arg(names: str, kind: Kind | None = None, help: str = "", **more: Any) -> Argument:
    return names, kind, help, more


def _switches(**helps: str) -> list[Argument]:
    """Return switches: ``all_takes="…"`` is ``--all-takes`` with its help."""
    return [_arg(f"--{name.replace('_', '-')}", None, text) for name, text in helps.items()]


_RECORD: Final = MODELS[MODEL]
_SETS: Final = max(one.modes[Mode.SET].n_max for one in MODELS.values() if Mode.SET in one.modes)
_YES_NO: Final[dict[str, Any]] = {"action": argparse.BooleanOptionalAction}
_IMAGE_HELP: Final = """\
a picture to use: a variable or expression (photo, d['key'], a[0], a list), a path, a URL, or a job's id \
(a3f9c2[0]); repeat it for image 1, image 2, …"""
_N_HELP: Final = f"""how many pictures (1): up to {_RECORD.modes[Mode.EDIT].n_max}; of {MODEL} without images one task \
each; at most, in a set"""
_MAX_HELP: Final = f"at most so many pictures, 1 to {_RECORD.max_images_max} ({_RECORD.max_images_default})"
_CELL: Final = (
    _arg("-i --image", Kind.IMAGE, _IMAGE_HELP),
    _arg("-n", Kind.NUMBER, _N_HELP),
    _arg("--model", Kind.TEXT, f"which model ({MODEL})", metavar="NAME", choices=tuple(MODELS)),
    *_switches(interleave="illustrated text: paragraphs and pictures in turn"),
    _arg("--max-images", Kind.NUMBER, f"illustrated text: {_MAX_HELP}"),
    _arg(
        "--size --ar",
        Kind.SIZE,
        "1K or 2K (editing, wan2.7), a ratio such as 16:9, or pixels: 1280x720",
        choices=(*TIERS, *RATIOS),
    ),
    *_switches(sequential=f"wan2.7: a set of pictures that belong together, -n 2 to {_SETS} at most"),
    _arg("--thinking", help="wan2.7: the model thinks before it draws a text (on)", **_YES_NO),
    _arg("--like", Kind.IMAGE, "the result takes this picture's shape, at the tier of --size"),
    _arg("--seed", Kind.SEED, f"0 to {_RECORD.seed_max}; 5..8, 5,9,12 or a list make one job per seed"),
    _arg("--negative", Kind.TEXT, "what to avoid (wan2.6); or a last paragraph 'Negative prompt: …'"),
    _arg(
        "--rewrite --prompt-extend",
        help="editing, wan2.6-t2i: the service rewrites the prompt (on); also --prompt-extend [true|false]",
        dest="prompt_extend",
        **_YES_NO,
    ),
    _arg("--watermark", help="'AI Generated' in the lower right corner (off)", **_YES_NO),
    _arg("--over", Kind.ROWS, "a picture for each row of a table (variable or file); columns fill {braces}"),
    _arg("--limit", Kind.NUMBER, "with --over: the first so many rows only"),
    _arg("--as", Kind.TEXT, "bind the job, or the batch, to this variable", dest="name", metavar="NAME"),
    _arg("--wait", help="wait for the pictures, or return at once", **_YES_NO),
    _arg("--timeout", Kind.DURATION, "wait at most so long: 90, 90s, 15m; the job itself goes on"),
    *_switches(
        dry_run="show the request and the most it can cost; send nothing",
        raw="take the text as it stands: {braces} are not replaced",
        fresh="ask the service again, even if the store has the answer",
    ),
    _arg("--tag", Kind.TAG, "a word to find it by in the history", dest="tags"),
    _arg("--provider", Kind.CHOICE, "where to send it", metavar="SERVICE", choices=PROVIDERS),
    _arg("--embed", help="write the recipe into the picture file (on)", **_YES_NO),
)
_JOB: Final = _arg("job", Kind.JOB)
_PATH: Final = _arg("path", Kind.PATH)
_CHOICE: Final = _arg("choice", Kind.CHOICE, choices=("adopt", "again", "abandon"))
_BATCH: Final = _arg("--batch", Kind.BATCH, "all jobs of the batch of this name")
_SERVICE: Final = _arg("service", Kind.TEXT, choices=SERVICES)
_WITH_TAG: Final = _arg("--tag", Kind.TAG, "with this tag; of several, with all", dest="tags")
_EVERYWHERE: Final = _arg("--everywhere", None, "in all your folders")
_BY: Final = _arg("--by", Kind.CHOICE, "a row for each", metavar="WHAT", choices=("day", "notebook", "tag", "user"))
_PER: Final = _arg("--per", Kind.CHOICE, "the limit is for", metavar="WHAT", choices=("day", "notebook", "total"))
_OPEN: Final = _arg("--open", Kind.PATH, "merge a bundle into this project")
_COMMANDS: Final = (  # synopsis, summary, example
    ("", "status, and what to do next", ""),
    ("make [options] TEXT", "make a picture from one line of text", "a fox in snow --seed 5"),
    ("show [JOB] [--all] [--takes]", "show a job's pictures again (the last job's)", "fox"),
    ("wait [JOB] [--timeout SECONDS]", "wait for a job, or for all", "fox --timeout 5m"),
    ("cancel JOB | --all", "cancel a job, where the service can", "fox"),
    ("resume [--all]", "pick up unfinished jobs and download what is ready", "--all"),
    ("resolve JOB [adopt TASK | again | abandon]", "decide about a job that may or may not have arrived", "a3f9 again"),
    ("save JOB PATH [--clean] [--force]", "save its pictures, or one (job[0]), as .png, .jpg or .webp", "fox fox.jpg"),
    ("history [WORDS] [options]", "what was asked and made, newest first", "fox --since 7d"),
    ("cost [--by day|notebook|tag|user] [--everywhere]", "what it cost", "--by day"),
    ("budget [AMOUNT [pictures] | off] [--per day|notebook|total]", "show or set limits on spending", "5.00 --per day"),
    ("star JOB", "star a job or one picture (job[0]), or take the star away", "fox[0]"),
    ("tag JOB TAG … [--remove]", "add tags to a job, or take them away", "fox poster final"),
    ("trash JOB [--undo]", "delete pictures, inputs and prompt after 30 days; the cost stays", "fox"),
    (
        "login [gateway | dashscope [WORKSPACE]]",
        "choose the service and give it a key; nothing typed is shown",
        "gateway",
    ),
    ("logout [gateway | dashscope]", "remove the stored key of a service, or of both", "gateway"),
    ("config [KEY=VALUE …]", "show or set defaults", "price.gateway=0.03"),
    ("doctor", "check keys, service, folder and front end", ""),
    ("nest", "let cells written for scripts call asyncio.run (ipykernel 6)", ""),
    ("help [COMMAND | OPTION]", "show this help, or that of a command or option", "size"),
    ("panel [--from JOB]", "open the panel", "--from fox"),
    ("recall JOB | PICTURE", "write the cell that made it below, without running it", "fox.png"),
    ("bundle PATH [--tag TAG] [--all-takes] | --open PATH", "pack the notebook and its pictures, or unpack", "a.zip"),
    ("verify [NOTEBOOK]", "check that every picture shown is present and unchanged", ""),
    ("methods [--tag TAG] [--latex]", "a paragraph for the paper", "--tag study"),
)
_ARGUMENTS: Final[dict[str, tuple[Argument, ...]]] = {
    "make": _CELL,
    "show": (_JOB, *_switches(all="every picture, however many", takes="all answers to the same request")),
    "wait": (_JOB, _arg("--timeout", Kind.DURATION, "wait at most so long: 90, 90s, 15m; the jobs go on")),
    "cancel": (_JOB, *_switches(all="everything that is not finished")),
    "resume": (*_switches(all="also jobs that were made with another key"),),
    "resolve": (_JOB, _CHOICE, _arg("task", Kind.TEXT), _BATCH),
    "save": (_JOB, _PATH, *_switches(clean="without the recipe", force="replace whatever file is there")),
    "history": (
        _arg("words", Kind.TEXT),
        *_switches(running="only what is not finished", starred="only starred ones", trash="what is in the trash"),
        _arg(
            "--since",
            Kind.SINCE,
            "today, yesterday, monday, 7d, 12h, 1 week, or a day such as 2026-11-24",
            metavar="WHEN",
            choices=("today", "yesterday", "7d", "30d"),
        ),
        _arg("--notebook", Kind.TEXT, "of this notebook, or the one named", nargs="?", const="", metavar="NAME"),
        _WITH_TAG,
        _arg("--seed", Kind.NUMBER, "with this seed"),
        _BATCH,
        _arg("--state", Kind.TEXT, f"in this state: {', '.join(STATES)}", metavar="STATE", choices=STATES),
        _EVERYWHERE,
        _arg("--limit", Kind.NUMBER, "at most so many (20)"),
    ),
    "cost": (_BY, _EVERYWHERE),
    "budget": (_arg("words", Kind.TEXT, choices=("pictures", "off")), _PER),
    "star": (_JOB,),
    "tag": (_JOB, _arg("words", Kind.TAG), *_switches(remove="take these tags away")),
    "trash": (_JOB, *_switches(undo="take it out of the trash")),
    "login": (_SERVICE, _arg("workspace", Kind.TEXT)),
    "logout": (_SERVICE,),
    "config": (_arg("words", Kind.TEXT, choices=tuple(f"{key}=" for key in CONFIG_KEYS)),),
    "help": (_arg("topic", Kind.TEXT),),
    "panel": (_arg("--from", Kind.JOB_OR_FILE, "filled in from this job or picture", dest="job"),),
    "recall": (_arg("job", Kind.JOB_OR_FILE),),
    "bundle": (_PATH, _WITH_TAG, _OPEN, *_switches(all_takes="every take, not only the shown ones")),
    "verify": (_PATH,),
    "methods": (_WITH_TAG, *_switches(latex="as LaTeX")),
}
_LEAST: Final = {"save": 2, "star": 1, "tag": 2, "trash": 1, "recall": 1}
"""How many words a command needs."""


@cache
def cell_parser() -> LineParser:
    """Return the parser of a ``%%wan`` line."""
    return LineParser("%%wan", "make pictures: the text below is the prompt", "%%wan --seed 5", "", *_CELL)


@cache
def command_parsers() -> dict[str, LineParser]:
    """Return the parser of each ``%wan`` command by its name; ``""`` is ``%wan`` alone."""
    parsers = {}
    for synopsis, summary, example in _COMMANDS:
        name = synopsis.partition(" ")[0]
        prog, arguments, least = f"%wan {name}".rstrip(), _ARGUMENTS.get(name, ()), _LEAST.get(name, 0)
        texts = (prog, summary, f"{prog} {example}".rstrip(), f"%wan {synopsis}".rstrip())
        parsers[name] = LineParser(*texts, *arguments, least=least)
    return parsers


def find_command(name: str) -> LineParser | None:
    """Return the parser of a command by its name or another name of it."""
    return command_parsers().get(ALIASES.get(name, name)) if name else None


# Help ----------------------------------------------------------------------------------------------------------------

_LEFT: Final = 30
_HEAD: Final = """\
%%wan -i photo --size 2K -n 2 --seed 5
A watercolour of {animal} in the snow.
Negative prompt: text, frame

%%wan [options]     the text below is the prompt; {name} stands for a variable
%wan make TEXT      the same in one line; options before or after the text
%wan show zoo       also wait, cancel, save, star, tag, resolve: JOB may be a batch
_wan                the last job of another cell: -i _wan goes on from its picture"""
_EXAMPLES: Final = (  # `%wan help size` shows the first one with that option
    "%%wan -i photo --size 16:9 --seed 5..8",
    '%%wan --negative "text, frame" --as fox --tag poster --fresh',
    "%%wan -i cat -i photo --like photo --no-rewrite --watermark",
    "%%wan --interleave --max-images 3 --raw",
    "%%wan --wait --timeout 5m --provider simulator --no-embed",
    "%%wan -n 3 --dry-run",
    "%%wan --over rows --limit 4 --as zoo",
    "%%wan --model wan2.7-image --sequential -n 4",
    "%%wan --model wan2.7-image --no-thinking",
)


def help_text() -> str:
    """Return the help that ``%wan?`` and ``%%wan?`` show."""
    commands = [(parser.synopsis, parser.summary) for parser in command_parsers().values()]
    parts = {"Options": option_rows(cell_parser()), "Commands": commands}
    return "\n\n".join([_HEAD, *("\n".join([head, *_columns(rows)]) for head, rows in parts.items())])


def help_topics() -> dict[str, argparse.Action | None]:
    """Return what ``%wan help`` explains: commands, and options without their dashes."""
    options = {name.lstrip("-"): option for option in cell_parser().options[1:] for name in option.option_strings}
    return {**dict.fromkeys(filter(None, command_parsers())), **options}


def topic_help(topic: str) -> str:
    """Return the help of a command or an option, with an example. Raise ``CellError`` for anything else."""
    word, found = topic.lower().lstrip("-%"), []
    if (parser := find_command(word)) is not None:
        rows = [*(CONFIG_KEYS.items() if parser.prog == "%wan config" else ()), *option_rows(parser)]
        found.append(
            "\n".join([parser.synopsis, f"  {parser.summary}", *_columns(rows), "", f"Example: {parser.example}"])
        )
    if option := help_topics().get(word):
        lines = (line for line in _EXAMPLES if {*line.split()} & {*option.option_strings})
        example = next(lines, cell_parser().example)
        what = textwrap.wrap(str(option.help), 96, break_on_hyphens=False)
        found.append("\n  ".join([_flags(option), *what]) + f"\n\nExample: {example}")
    if not found:
        hint = did_you_mean(word, help_topics()) or "`%wan?` lists all of them."
        raise CellError(f"{shown(topic)} is not a command or an option.", hint=hint)
    return "\n\n".join(found)


def option_rows(parser: LineParser) -> list[tuple[str, str]]:
    """Return each option of a parser as help shows it, with what it does."""
    return [(_flags(action), str(action.help)) for action in parser.options if action.dest != "help"]


def _flags(action: argparse.Action) -> str:
    """Return an option as help shows it: ``-i, --image IMAGE``."""
    value = f" [{action.metavar}]" if action.nargs == "?" else f" {action.metavar}" if action.nargs != 0 else ""
    return ", ".join(action.option_strings[:2]) + value


def _columns(rows: Iterable[tuple[str, str]]) -> list[str]:
    lines = []
    for left, right in rows:
        first, *more = textwrap.wrap(right, 66, break_on_hyphens=False)
        lines += [f"  {left:{_LEFT}}  {first}"] if len(left) <= _LEFT else [f"  {left}", f"{'':{_LEFT}}    {first}"]
        lines += [f"{'':{_LEFT}}    {text}" for text in more]
    return lines
