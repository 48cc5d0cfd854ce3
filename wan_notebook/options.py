"""The options and subcommands of the magics: the one table that parser, help, completion and README read."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from . import catalog
from .states import JobState


class Kind(StrEnum):
    """What the value of an option, or a word of a subcommand, is."""

    FLAG = "flag"
    IMAGE = "image"
    NUMBER = "number"
    SEED = "seed"
    SIZE = "size"
    TEXT = "text"
    NAME = "name"
    CHOICE = "choice"
    DURATION = "duration"
    SINCE = "since"
    JOB = "job"
    JOB_OR_FILE = "job or file"
    PATH = "path"
    WORDS = "words"
    TEXT_TO_THE_END = "text to the end"


EXPRESSIONS: Final = frozenset({Kind.IMAGE, Kind.NUMBER, Kind.SEED, Kind.JOB, Kind.JOB_OR_FILE})
"""Kinds that are read as a balanced expression; the others are quoted texts or bare words."""


@dataclass(frozen=True)
class Option:
    """One option. ``off`` are the flags that say no; those in ``says_which`` may be followed by true or false."""

    name: str
    flags: tuple[str, ...]
    kind: Kind
    metavar: str
    help: str
    off: tuple[str, ...] = ()
    says_which: tuple[str, ...] = ()
    choices: tuple[str, ...] = ()
    repeatable: bool = False
    value_optional: bool = False

    @property
    def shown(self) -> str:
        """The option as help shows it: ``-i, --image IMAGE``."""
        names = ", ".join((self.flags[0], self.off[0]) if self.off else self.flags)
        value = f" [{self.metavar}]" if self.value_optional else f" {self.metavar}"
        return names + (value if self.metavar else "")


def _flag(name: str, text: str, *, off: str = "") -> Option:
    return Option(name, (f"--{name.replace('_', '-')}",), Kind.FLAG, "", text, off=(off,) if off else ())


_SECONDS: Final = "wait at most so long: 90, 90s, 15m; the job itself goes on"
_TIMEOUT: Final = Option("timeout", ("--timeout",), Kind.DURATION, "SECONDS", _SECONDS)

_IMAGE_HELP: Final = (
    "a picture to use: a variable or expression (photo, d['key'], a[0], a list), a path, a URL, or a job's id "
    "(a3f9c2[0]); repeat it for image 1, image 2, …"
)
CELL_OPTIONS: Final = (
    Option("image", ("-i", "--image"), Kind.IMAGE, "IMAGE", _IMAGE_HELP, repeatable=True),
    Option("n", ("-n",), Kind.NUMBER, "N", "how many pictures (1): up to 4 when editing, one task each without images"),
    Option("max_images", ("--max-images",), Kind.NUMBER, "N", "illustrated text: at most so many pictures, 1 to 5 (5)"),
    Option(
        *("size", ("--size",), Kind.SIZE, "SIZE", "1K or 2K (editing), a ratio such as 16:9, or pixels: 1280x720"),
        choices=("1K", "2K", *catalog.RATIOS),
    ),
    Option("like", ("--like",), Kind.IMAGE, "IMAGE", "the result takes this picture's shape, at the tier of --size"),
    Option("seed", ("--seed",), Kind.SEED, "SEED", "0 to 2147483647; 5..8, 5,9,12 or a list make one job per seed"),
    Option("negative", ("--negative",), Kind.TEXT, "TEXT", "what to avoid; or a last line 'Negative prompt: …'"),
    _flag("interleave", "illustrated text: paragraphs and pictures in turn"),
    Option(
        *("rewrite", ("--rewrite", "--prompt-extend"), Kind.FLAG, ""),
        "editing: the service rewrites the prompt (it does); also --prompt-extend [true|false]",
        off=("--no-rewrite", "--no-prompt-extend"),
        says_which=("--prompt-extend",),
    ),
    _flag("watermark", "'AI Generated' in the lower right corner (off)", off="--no-watermark"),
    Option("name", ("--as",), Kind.NAME, "NAME", "bind the job to this variable"),
    _flag("wait", "wait for the pictures, or return at once", off="--no-wait"),
    _TIMEOUT,
    _flag("dry_run", "show the request and the most it can cost; send nothing"),
    _flag("raw", "take the text as it stands: {braces} are not replaced"),
    _flag("fresh", "ask the service again, even if the store has the answer"),
    Option("tags", ("--tag",), Kind.TEXT, "TAG", "a word to find it by in the history", repeatable=True),
    Option("provider", ("--provider",), Kind.CHOICE, "SERVICE", "where to send it", choices=catalog.PROVIDERS),
    _flag("embed", "write the recipe into the picture file (on)", off="--no-embed"),
)

HELP: Final = Option("help", ("-h", "--help"), Kind.FLAG, "", "show this help")


@dataclass(frozen=True)
class Subcommand:
    """One subcommand of ``%wan``; ``places`` are the kinds of its words in order, of which ``least`` must be given."""

    name: str
    usage: str
    help: str
    places: tuple[Kind, ...] = ()
    least: int = 0
    options: tuple[Option, ...] = ()
    aliases: tuple[str, ...] = ()
    choices: tuple[str, ...] = ()
    details: tuple[tuple[str, str], ...] = ()
    """What its help lists beside the options: what may be written, and what it means."""


_TAG: Final = Option("tags", ("--tag",), Kind.TEXT, "TAG", "with this tag; of several, with every one", repeatable=True)
_EVERYWHERE: Final = _flag("everywhere", "in all your folders")
_HISTORY: Final = (
    _flag("running", "only what is not finished"),
    Option("since", ("--since",), Kind.SINCE, "WHEN", "7d, 12h, or a day such as 2026-11-24"),
    _TAG,
    Option("notebook", ("--notebook",), Kind.TEXT, "NAME", "of this notebook, or the one named", value_optional=True),
    Option("seed", ("--seed",), Kind.NUMBER, "N", "with this seed"),
    Option(
        "state", ("--state",), Kind.CHOICE, "STATE", "in this state", choices=tuple(state.value for state in JobState)
    ),
    _flag("starred", "only starred ones"),
    _flag("trash", "what is in the trash"),
    _EVERYWHERE,
    Option("limit", ("--limit",), Kind.NUMBER, "N", "at most so many (20)"),
)
_BY: Final = Option("by", ("--by",), Kind.CHOICE, "WHAT", "a row for each", choices=("day", "notebook", "tag", "user"))
_PER: Final = Option("per", ("--per",), Kind.CHOICE, "WHAT", "the cap is for", choices=("day", "notebook", "total"))
_BUNDLE: Final = (
    _TAG,
    _flag("all_takes", "every take, not only the shown ones"),
    Option("open", ("--open",), Kind.PATH, "PATH", "merge a bundle into this project"),
)
_SHOW: Final = (
    _flag("all", "every picture, however many"),
    _flag("takes", "all answers to the same request, side by side"),
)
_JOB: Final = (Kind.JOB,)

CONFIG_KEYS: Final = (
    ("price.gateway=0.03", "what a picture costs: price.SERVICE=AMOUNT, off to forget it; with a key, price=0.03 too"),
    ("provider=gateway", "gateway, dashscope, simulator, or auto: whichever has a key"),
    ("wait=on", "cells wait for their pictures (on), return at once (off), or as the front end says (auto)"),
    ("embed=off", "write no recipe into picture files (on)"),
    ("replay=only", "only: show what is in the store, never ask; off: always ask (on)"),
    ("envelope=flat", "the form of the gateway's requests: auto, flat or params (auto)"),
    ("polling=economical", "ask the service for the state less often (prompt)"),
)

SUBCOMMANDS: Final = (
    Subcommand("status", "", "where you stand, and what to type next"),
    Subcommand(
        "make", "[options] TEXT", "make a picture from one line of text", (Kind.TEXT_TO_THE_END,), 1, CELL_OPTIONS
    ),
    Subcommand("show", "[JOB] [--all] [--takes]", "show a job's pictures again (the last job's)", _JOB, 0, _SHOW),
    Subcommand("wait", "[JOB] [--timeout SECONDS]", "wait for a job, or for all", _JOB, 0, (_TIMEOUT,)),
    Subcommand("cancel", "JOB", "cancel a job, where the service can", _JOB, 1),
    Subcommand("resume", "", "take up every open job and fetch what is finished"),
    Subcommand(
        *("resolve", "JOB [adopt TASK | again | abandon]", "decide about a job that may or may not have arrived"),
        *((Kind.JOB, Kind.CHOICE, Kind.TEXT), 1),
        choices=("adopt", "again", "abandon"),
    ),
    Subcommand("history", "[WORDS] [options]", "what was asked and made, newest first", (Kind.WORDS,), 0, _HISTORY),
    Subcommand("cost", "[--by day|notebook|tag|user] [--everywhere]", "what it cost", options=(_BY, _EVERYWHERE)),
    Subcommand(
        *("save", "JOB PATH [--clean] [--force]", "save a job's pictures, or one (job[0]), as .png, .jpg or .webp"),
        *((Kind.JOB, Kind.PATH), 2),
        options=(_flag("clean", "without the recipe"), _flag("force", "replace whatever file is there")),
    ),
    Subcommand(
        "login",
        "[gateway | dashscope]",
        "choose the service and give it a key; nothing typed is shown",
        (Kind.CHOICE,),
        choices=("gateway", "dashscope"),
    ),
    Subcommand(
        "logout",
        "[gateway | dashscope]",
        "remove the stored key of a service, or of both",
        (Kind.CHOICE,),
        choices=("gateway", "dashscope"),
    ),
    Subcommand(
        *("config", "[KEY=VALUE …]", "show or set defaults", (Kind.WORDS,)),
        aliases=("defaults",),
        choices=("price=", "provider=", "wait=", "embed=", "replay=", "envelope=", "polling="),
        details=CONFIG_KEYS,
    ),
    Subcommand(
        *("budget", "[AMOUNT [pictures] | off] [--per day|notebook|total]", "show or set caps on spending"),
        *((Kind.TEXT, Kind.CHOICE), 0, (_PER,)),
        choices=("pictures", "off"),
    ),
    Subcommand("doctor", "", "check keys, service, folder and front end"),
    Subcommand("nest", "", "let cells written for scripts call asyncio.run (ipykernel 6)"),
    Subcommand(
        *("panel", "[--from JOB]", "open the panel"),
        options=(Option("job", ("--from",), Kind.JOB_OR_FILE, "JOB", "filled in from this job or picture"),),
    ),
    Subcommand(
        "recall", "JOB | PICTURE", "write the cell that made it below, without running it", (Kind.JOB_OR_FILE,), 1
    ),
    Subcommand("star", "JOB", "star a job or one picture (job[0]), or take the star away", _JOB, 1),
    Subcommand(
        *("trash", "JOB [--undo]", "delete pictures, inputs and prompt after 30 days; the cost stays", _JOB, 1),
        options=(_flag("undo", "take it out of the trash"),),
    ),
    Subcommand(
        *("bundle", "PATH [--tag TAG] [--all-takes] | --open PATH", "pack the notebook and its pictures, or unpack"),
        *((Kind.PATH,), 0, _BUNDLE),
    ),
    Subcommand("verify", "[NOTEBOOK]", "check that every picture shown is present and unchanged", (Kind.PATH,)),
    Subcommand(
        *("methods", "[--tag TAG] [--latex]", "a paragraph for the paper"),
        options=(_TAG, _flag("latex", "as LaTeX")),
    ),
    Subcommand("help", "[COMMAND]", "show this help, or one command's", (Kind.TEXT,)),
)


def subcommand(name: str) -> Subcommand | None:
    """Return the subcommand of this name or alias."""
    return next((s for s in SUBCOMMANDS if name == s.name or name in s.aliases), None)


def subcommand_names() -> tuple[str, ...]:
    """Return every name that can be typed after ``%wan``."""
    return tuple(name for s in SUBCOMMANDS for name in (s.name, *s.aliases))
