"""Read a cell's line, text and variables into requests: every problem at once, before anything is sent."""

import argparse
import re
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Final

from ..batch import BatchPlan, plan_batch, read_table
from ..errors import ImageInputError, Problem, RequestError
from ..images import InputImage, PendingImage
from ..models import MODEL
from ..replay import Submission
from ..request import ImageRequest, build_requests
from ..resolver import Resolver
from ..session import Session
from ..template import expand, refuse
from ..text import one_line
from ..validation import Mode, mode_for, name_problems, size_from_image, split_seeds
from .expressions import image_values, read_value, table_value
from .options import cell_parser
from .parser import ReadLine, unquoted

_NEGATIVE: Final = re.compile(r"^[ \t]*negative prompt[ \t]*[:：][ \t]*", re.IGNORECASE | re.MULTILINE)
_SETTINGS: Final = re.compile(r"(?:\A|\n)[ \t]*(Steps: \d+, [^\n]*\b[A-Z][\w ]*: [^\n]*)\Z")
_LOOKS_LIKE_OPTION: Final = re.compile(r"(?<!\S)(--[a-z][a-z-]*|-[in]\s?\d\b)")


def read_cell(read: ReadLine, body: str, resolver: Resolver) -> tuple[Submission, float | None]:
    """Read a cell whose line is read already.

    Parameters
    ----------
    read : ReadLine
        The line of a ``%%wan`` cell or of ``%wan make``.
    body : str
        The text of the cell, or that in the line.
    resolver : Resolver
        The notebook's variables, and what turns values into pictures.

    Returns
    -------
    Submission
        It has valid requests, or a ``refusal`` that holds unless the store answers ``former``.
    float or None
        The longest wait, in seconds.

    Raises
    ------
    RequestError
        With everything that is wrong with the line and with the request.
    """
    options, problems = read.options, list(read.problems)
    reader = _Reader(options, resolver, problems, is_raw=options.raw)
    name, timeout_s = reader.value("name") or "", reader.value("timeout")
    problems += name_problems(name, field="--as")
    if options.limit is not None:
        problems.append(Problem("--limit", options.limit, "needs --over.", "-n says how many pictures."))
    tags = tuple(dict.fromkeys(reader.text(tag, "tag") for tag in options.tags or ()))
    provider = reader.value("provider")
    prompt, negative, notes = split_negative(body)
    requests, former, refusal = tuple[ImageRequest, ...](), tuple[ImageRequest, ...](), None
    try:
        requests = reader.requests(prompt, negative)
        notes += (*reader.notes, *_marks_in(requests[0].prompt))
    except RequestError as error:
        refusal = error
    # What the first edition read in the same cell, if that differs. It took the text of %wan make verbatim.
    options, text = read.former or (options, body)
    head, newline, last = text.rstrip().rpartition("\n")  # the negative prompt was the last line only
    match = _NEGATIVE.match(last)
    texts = (head.strip() if newline else "", last[match.end() :].strip()) if match else (text.strip(), None)
    is_other = texts != (prompt, negative) or any(problem.field == "image" for problem in problems)
    if read.former or (is_other and not read.problems):
        then = replace(reader, options=options, problems=[], notes=[], is_raw=bool(read.former) or options.raw)
        with suppress(RequestError):
            former = then.requests(*texts)
    if refusal is not None and not former:
        raise refusal
    submission = Submission(
        requests=requests,
        name=name,
        tags=tags,
        fresh=options.fresh,
        provider=provider,
        embed=options.embed,
        notes=tuple(dict.fromkeys(notes)),
        former=former if former != requests else (),
        refusal=refusal,
    )
    return submission, timeout_s


def read_batch(read: ReadLine, body: str, session: "Session", resolver: "Resolver") -> tuple["BatchPlan", float | None]:
    """Read a cell with ``--over`` whose line is read already: what its batch would do, and the longest wait.

    In its braces, and after ``-i`` and ``--like``, columns of the table come before the notebook's variables.

    Raises
    ------
    RequestError
        With everything that is wrong with the line, the table and its rows.
    """
    options, problems = read.options, list(read.problems)
    reader, names = _Reader(options, resolver, problems, is_raw=options.raw), resolver.namespace
    how = {name: reader.value(name) for name in ("name", "timeout", "provider", "limit")}
    problems += name_problems(how["name"] or "", field="--as")
    prompt, negative, notes = split_negative(body)
    reader.check_negative(negative)
    table = reader.once("--over", options.over, lambda text: read_table(table_value(text, names)))
    if table is None:
        raise RequestError(problems)
    fields = [option.dest for option in cell_parser().options if option.dest in ImageRequest.model_fields]
    given = {name: reader.value(name) for name in fields}
    given |= {name: None for name in ("interleave", "sequential") if not given[name]}
    given |= {"negative_prompt": options.negative or negative or None, "tags": options.tags}
    given["like"] = reader.row_images("like", [options.like] if options.like else (), table.columns)
    if given["seed"] and len(given["seed"]) == 1:
        given["seed"] = given["seed"][0]
    submission = Submission(
        (),
        name=how["name"] or "",
        fresh=options.fresh,
        provider=how["provider"],
        embed=options.embed,
        notes=(*notes, *_marks_in(prompt)),
    )
    plan = plan_batch(
        session,
        table,
        prompt or None,
        submission,
        images=reader.row_images("image", options.image or (), table.columns),
        limit=how["limit"],
        resolver=resolver,
        raw=options.raw,
        parameters=given,
        problems=problems,
    )
    return plan, how["timeout"]


def _marks_in(prompt: str) -> list[str]:
    """Return notes on what looks like an option in a prompt."""
    marks = dict.fromkeys(_LOOKS_LIKE_OPTION.findall(prompt))
    return [f"'{mark}' is part of the prompt: put options before the text" for mark in marks]


def split_negative(body: str) -> tuple[str, str | None, tuple[str, ...]]:
    """Split a text at its last line ``Negative prompt: …``: the prompt, the negative prompt or None, and notes.

    The negative prompt goes on to the end. A pasted last line ``Steps: 20, Sampler: …`` belongs to neither.
    """
    text, notes = body.rstrip(), tuple[str, ...]()
    if settings := _SETTINGS.search(text):
        text = text[: settings.start()].rstrip()
        notes = (f"the pasted settings ('{one_line(settings[1], 30)}') are not used: put --seed and --size above",)
    found = list(_NEGATIVE.finditer(text))
    if not found:
        return text.strip(), None, notes
    return text[: found[-1].start()].strip(), text[found[-1].end() :].strip(), notes


@dataclass(repr=False)
class _Reader:
    """Reads the requests of one reading of a cell, and lists what is wrong and what is worth a note.

    ``known`` keeps what was evaluated, so that it happens once in all readings.
    """

    options: argparse.Namespace
    resolver: Resolver
    problems: list[Problem]
    is_raw: bool
    notes: list[str] = field(default_factory=list)
    known: dict[tuple[object, str], Any] = field(default_factory=dict)

    def value(self, name: str) -> Any:
        """Return an option's value in its type; None where it is not given, or is wrong, which is a problem."""
        option = next(option for option in cell_parser().options if option.dest == name)
        given, names = getattr(self.options, name), self.resolver.namespace
        is_text = isinstance(given, str)
        return self.once(name, given, lambda text: read_value(option, text, names, name=name)) if is_text else given

    def requests(self, prompt: str, negative: str | None) -> tuple[ImageRequest, ...]:
        """Return one request a seed. Raise ``RequestError`` with everything that is wrong."""
        options = self.options
        self.check_negative(negative)
        given = enumerate(options.image or ())
        found = [self.once(place, text, lambda text: self._images(text, "image")) for place, text in given]
        # One that cannot be read keeps the count, and so the mode, while the rest is checked.
        images = tuple(image for one in found for image in one or [PendingImage(name="", job_id="")])
        mode = mode_for(images, interleave=options.interleave, sequential=options.sequential)
        model = self.value("model") or MODEL
        seeds = split_seeds(self.value("seed"), n=self.value("n") or 1, mode=mode, model=model)
        names = [option.dest for option in cell_parser().options if option.dest in ImageRequest.model_fields]
        fields = {
            **{name: value for name in names if name != "seed" and (value := self.value(name)) is not None},
            "prompt": self.text(prompt, "prompt"),
            "negative_prompt": self.text(options.negative or negative or "", "negative_prompt"),
            "images": images,
        }
        if options.like is not None:
            fields["size"] = self._size_like(options.like, mode, model)
        self.notes += seeds.notes
        return build_requests(fields, seeds, self.problems)

    def check_negative(self, below: str | None) -> None:
        """Refuse a negative prompt that is given twice."""
        if self.options.negative is not None and below:
            self.problems.append(Problem("negative_prompt", "", "is an option and stands below.", "Keep one."))

    def row_images(self, field: str, texts: Sequence[str], columns: Collection[str]) -> list[Any] | None:
        """Return columns of a table by their names, and pictures; None if there are neither."""
        found: list[Any] = []
        for place, text in enumerate(texts):
            is_column = (name := unquoted(text) or text) in columns
            unread = [PendingImage(name="", job_id="")]
            found += (
                [name] if is_column else self.once((field, place), text, partial(self._images, field=field)) or unread
            )
        return found or None

    def text(self, text: str, field: str) -> str:
        """Return a text with its fields filled in, unless the cell is raw."""
        if self.is_raw:
            return text
        expanded = expand(text, self.resolver.namespace, field=field)
        self.problems += expanded.problems
        self.notes += expanded.notes
        return expanded.text

    def once(self, place: object, text: str, read: Callable[[str], Any]) -> Any:
        """Evaluate what stands in a place, once in all readings of a cell; None, with a problem, if that fails."""
        if (place, text) not in self.known:
            try:
                self.known[place, text] = read(text)
            except RequestError as error:
                self.known[place, text] = error
        found = self.known[place, text]
        if isinstance(found, RequestError):
            self.problems += found.problems
            return None
        return found

    def _images(self, text: str, field: str) -> list[InputImage | PendingImage]:
        """Return the pictures of one option; one that is refused today stands without data, as the first edition's."""
        images = list[InputImage | PendingImage]()
        for value, name in image_values(text, self.resolver.namespace, field):
            try:
                images += self.resolver.image(value, name)
            except ImageInputError as error:
                former = self.resolver.former_image(value, name)
                if former is None:
                    raise
                self.problems += error.problems
                images.append(former)
        return images or refuse(field, "holds no picture.", "Leave it out, or add one.", text)

    def _size_like(self, like: str, mode: Mode, model: str) -> str | None:
        given = self.options.image or ()
        place = given.index(like) if like in given else "like"  # the same expression is the same picture
        images = self.once(place, like, lambda text: self._images(text, "like")) or ()
        found = [one for one in images if isinstance(one, PendingImage) or one.data]
        size, problems = size_from_image(found, shown=like, size=self.value("size"), mode=mode, model=model)
        self.problems += problems
        return size
