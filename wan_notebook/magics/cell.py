"""Read a cell's line, text and variables into requests: every problem at once, before anything is sent."""

import argparse
import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from ..errors import CellError, ImageInputError, Problem, RequestError
from ..images import PendingImage
from ..replay import Submission
from ..request import ImageRequest, build_requests
from ..validation import mode_for, name_problem, parse_size, size_from_image, split_seeds
from .expressions import InputPicture, PictureSource, evaluate, evaluate_number, evaluate_seeds, pictures_of, read_value
from .options import cell_parser, command_parsers
from .parser import LineError, LineParser, ReadLine
from .template import expand, split_negative, split_negative_first_edition, text_notes

if TYPE_CHECKING:
    from ..resolver import Resolver

_UNREADABLE: Final = PendingImage(name="", job_id="")  # keeps the count, and so the mode, while others are checked


@dataclass(frozen=True, kw_only=True)
class CellCall:
    """What a ``%%wan`` cell or ``%wan make`` asks for: a submission, and what the cell does beside it.

    ``wait`` is None where the cell leaves it to the settings; ``timeout_s`` is in seconds.
    """

    submission: Submission
    image_expressions: tuple[str, ...] = ()
    wait: bool | None = None
    timeout_s: float | None = None
    dry_run: bool = False


def read_cell(line: str, body: str, resolver: "Resolver") -> CellCall:
    """Read a ``%%wan`` cell.

    Parameters
    ----------
    line, body : str
        What follows ``%%wan`` in the first line, and the text below it.
    resolver : Resolver
        The notebook's variables, and what turns values into pictures.

    Returns
    -------
    CellCall
        Its submission has valid requests, or a ``refusal`` that holds unless the store answers ``former``.

    Raises
    ------
    CellError, RequestError
        With everything that is wrong with the line and with the request.
    """
    return call_of(cell_parser().read(line), body, resolver)


def read_make(line: str, resolver: "Resolver") -> CellCall:
    """Read what follows ``%wan make``: as a cell, with options before or after the text in the same line."""
    read = command_parsers()["make"].read_with_text(line)
    return call_of(read, read.text, resolver)


def call_of(read: ReadLine, body: str, resolver: "Resolver") -> CellCall:
    """Return the call of a line that is read already; ``body`` is the text of the cell or of ``%wan make``."""
    options = read.options
    reader = _RequestReader(options, resolver, is_raw=options.raw)
    values, problems = reader.settings(cell_parser())
    line_problems = [*read.problems, *problems]
    prompt, negative, notes = split_negative(body)
    requests: tuple[ImageRequest, ...] = ()
    refusal: CellError | RequestError | None = None
    try:
        requests = reader.requests(prompt, negative)
        notes = (*notes, *reader.notes, *text_notes(requests[0].prompt, len(requests[0].images)))
    except RequestError as error:
        refusal = error
    if line_problems:
        refusal = LineError([*line_problems, *(refusal.problems if isinstance(refusal, RequestError) else ())])
    former: tuple[ImageRequest, ...] = ()
    if read.earlier is not None or not read.problems:
        former = _first_edition(read, body, (prompt.strip(), negative), reader, resolver)
    if refusal is not None and not former:
        raise refusal
    submission = Submission(
        requests=requests if refusal is None else (),
        name=values.get("name", ""),
        tags=values["tags"],
        fresh=options.fresh,
        provider=values.get("provider"),
        embed=options.embed,
        notes=tuple(dict.fromkeys(notes)),
        size_follows=reader.size_follows,
        former=former if refusal or former != requests else (),
        refusal=refusal,
    )
    return CellCall(
        submission=submission,
        image_expressions=tuple(options.image or ()),
        wait=options.wait,
        timeout_s=values.get("timeout"),
        dry_run=options.dry_run,
    )


def _first_edition(
    read: ReadLine, body: str, texts: tuple[str, str | None], reader: "_RequestReader", resolver: "Resolver"
) -> tuple[ImageRequest, ...]:
    """Return what the first edition read in the same cell; empty where it read the same or refused it too.

    ``texts`` are today's prompt and negative prompt.
    """
    line = read.earlier or read
    prompt, negative = split_negative_first_edition(line.text if read.earlier else body)
    has_refused_image = any(problem.field == "image" for problem in reader.problems)
    if read.earlier is None and (prompt.strip(), negative) == texts and not has_refused_image:
        return ()
    is_raw = read.earlier is not None or line.options.raw  # it took the text of %wan make verbatim
    earlier = _RequestReader(line.options, _FormerImages(resolver), is_raw=is_raw, known=reader.known)
    try:
        return earlier.requests(prompt, negative)
    except RequestError:
        return ()


class _FormerImages:
    """Gives also pictures that are refused today, by the identity that the first edition gave them."""

    def __init__(self, resolver: "Resolver") -> None:
        self.resolver, self.namespace, self.job_image = resolver, resolver.namespace, resolver.job_image

    def image(self, value: object, name: str) -> tuple[InputPicture, ...]:
        """Return the pictures of a value; one that is refused has no data."""
        try:
            return self.resolver.image(value, name)
        except ImageInputError:
            if former := self.resolver.former_image(value, name):
                return (former,)
            raise


class _RequestReader:
    """Reads the requests of one reading of a cell; ``known`` keeps what was evaluated, so that it happens once."""

    def __init__(
        self,
        options: argparse.Namespace,
        resolver: PictureSource,
        *,
        is_raw: bool,
        known: dict[tuple[object, str], Any] | None = None,
    ) -> None:
        self.options, self.resolver, self.is_raw = options, resolver, is_raw
        self.known = {} if known is None else known
        self.notes: list[str] = []
        self.problems: list[Problem] = []
        self.size_follows = ""

    def settings(self, parser: LineParser) -> tuple[dict[str, Any], list[Problem]]:
        """Return the values of ``--as``, ``--provider``, ``--timeout`` and ``--tag``, and what is wrong with them."""
        values: dict[str, Any] = {}
        problems: list[Problem] = []
        for option in parser.options:
            text = getattr(self.options, option.dest)
            if option.dest in ("name", "provider", "timeout") and text is not None:
                try:
                    values[option.dest] = read_value(
                        option, text, self.resolver.namespace, choices=parser.choices[option.dest]
                    )
                except RequestError as error:
                    problems += error.problems
        name = values.get("name", "")
        if name and (problem := name_problem(name, field="--as")):
            problems.append(problem)
        if name and any(re.search(rf"\b{re.escape(name)}\b", text) for text in self.options.image or ()):
            self.notes.append(f"--as {name} replaces the picture that -i reads: run again, it edits its own result")
        values["tags"] = tuple(dict.fromkeys(self._text(tag, "tag") for tag in self.options.tags or ()))
        return values, problems

    def requests(self, prompt: str, negative: str | None) -> tuple[ImageRequest, ...]:
        """Return one request a seed. Raise ``RequestError`` with everything that is wrong."""
        options = self.options
        if options.negative is not None:
            if negative:
                message = "is given both as an option and below the prompt."
                self.problems.append(Problem("negative_prompt", "", message, "Keep one."))
            negative = options.negative
        images: list[InputPicture] = []
        for position, text in enumerate(options.image or ()):
            images += self._pictures(text, "image", position)
        n = 1 if options.n is None else self._known("n", options.n, evaluate_number)
        mode = mode_for(images, interleave=options.interleave)
        seed = None if options.seed is None else self._known("seed", options.seed, evaluate_seeds)
        seeds = split_seeds(seed, n=n, mode=mode)
        fields = {
            "prompt": self._text(prompt.strip(), "prompt"),
            "negative_prompt": self._text(negative or "", "negative_prompt"),
            "images": tuple(images),
            "size": self._size(tuple(images)),
            "n": 1 if n is None else n,
            "interleave": options.interleave,
            "watermark": bool(options.watermark),
            "prompt_extend": options.prompt_extend,
        }
        if options.max_images is not None:
            fields["max_images"] = self._known("max_images", options.max_images, evaluate_number)
        self.notes += seeds.notes
        return build_requests(fields, seeds, self.problems)

    def _known(self, field: str, text: str, read: Callable[[str, Mapping[str, Any], str], Any]) -> Any:
        """Evaluate a value, at most once; None, with a problem, if that fails."""
        try:
            if (field, text) not in self.known:
                self.known[field, text] = read(text, self.resolver.namespace, field)
            return self.known[field, text]
        except RequestError as error:
            self.problems += error.problems
            return None

    def _pictures(self, text: str, field: str, position: object) -> tuple[InputPicture, ...]:
        """Return the pictures of one option; the same position is looked at once in all readings of a cell."""
        try:
            if (position, text) not in self.known:
                self.known[position, text] = pictures_of(text, self.resolver, field=field)
            found: tuple[InputPicture, ...] = self.known[position, text]
        except RequestError as error:
            self.problems += error.problems
            return (_UNREADABLE,)
        if not found:
            self.problems.append(Problem(field, text, "holds no picture.", "Leave it out, or add one."))
        return found or (_UNREADABLE,)

    def _text(self, text: str, field: str) -> str:
        if self.is_raw:
            return text
        expanded = expand(text, self.resolver.namespace, field=field)
        self.problems += expanded.problems
        self.notes += expanded.notes
        return expanded.text

    def _size(self, images: tuple[InputPicture, ...]) -> str | None:
        text, like = self.options.size, self.options.like
        size: str | None = None
        if text is not None:
            count = len(self.problems)
            size = self._text(text, "size")
            if len(self.problems) > count:
                return None
            if parse_size(size) is None:
                with suppress(RequestError):  # a variable, or (w, h); anything else is refused by name
                    value = evaluate(size, self.resolver.namespace, "size")
                    size = str(value) if isinstance(value, str | tuple | list) else size
        if like is None:
            return size
        given = self.options.image or ()
        position = given.index(like) if like in given else "like"  # the same expression is the same picture
        found = [picture for picture in self._pictures(like, "like", position) if picture is not _UNREADABLE]
        mode = mode_for(images, interleave=self.options.interleave)
        sent, problems = size_from_image(found, shown=like, size=size, mode=mode)
        is_unseen = len(found) == 1 and isinstance(found[0], PendingImage)
        if is_unseen and self.options.dry_run and not isinstance(parse_size(size or ""), tuple):
            self.size_follows = found[0].name  # a dry run looks at nothing that is not here
        else:
            self.problems += problems
        return sent
