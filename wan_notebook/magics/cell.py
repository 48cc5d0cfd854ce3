"""Read a cell's line, text and variables into requests: every problem at once, before anything is sent."""

import argparse
import re
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from ..errors import ImageInputError, Problem, RequestError
from ..images import PendingImage
from ..replay import Submission
from ..request import ImageRequest, build_requests
from ..validation import mode_for, name_problem, parse_size, size_from_image, split_seeds
from .expressions import FormerImages, InputPicture, pictures_of, read_value
from .options import cell_parser, command_parsers
from .parser import LineError, ReadLine
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
    reader = _Reader(options, resolver, is_raw=options.raw)
    submission = Submission(
        requests=(),
        name=reader.value("name") or "",
        tags=tuple(dict.fromkeys(reader.text(tag, "tag") for tag in options.tags or ())),
        fresh=options.fresh,
        provider=reader.value("provider"),
        embed=options.embed,
    )
    name, timeout_s = submission.name, reader.value("timeout")
    if name and (problem := name_problem(name, field="--as")):
        reader.problems.append(problem)
    if name and any(re.search(rf"\b{re.escape(name)}\b", text) for text in options.image or ()):
        reader.notes.append(f"--as {name} replaces the picture that -i reads: run again, it edits its own result")
    prompt, negative, notes = split_negative(body)
    requests: tuple[ImageRequest, ...] = ()
    refusal: RequestError | LineError | None = None
    try:
        requests = reader.requests(prompt, negative)
        notes = (*notes, *reader.notes, *text_notes(requests[0].prompt, len(requests[0].images)))
    except RequestError as error:
        refusal = error
    if read.problems:
        requests, refusal = (), LineError([*read.problems, *(refusal.problems if refusal else ())])
    former = _first_edition(read, body, (prompt.strip(), negative), reader, resolver)
    if refusal is not None and not former:
        raise refusal
    submission = replace(
        submission,
        requests=requests,
        notes=tuple(dict.fromkeys(notes)),
        size_follows=reader.size_follows,
        former=former if former != requests else (),
        refusal=refusal,
    )
    return CellCall(submission=submission, wait=options.wait, timeout_s=timeout_s, dry_run=options.dry_run)


def _first_edition(
    read: ReadLine, body: str, texts: tuple[str, str | None], reader: "_Reader", resolver: "Resolver"
) -> tuple[ImageRequest, ...]:
    """Return what the first edition read in the same cell; empty where it read the same or refused it too.

    ``texts`` are today's prompt and negative prompt.
    """
    line = read.earlier or read
    prompt, negative = split_negative_first_edition(line.text if read.earlier else body)
    has_refused_image = any(problem.field == "image" for problem in reader.problems)
    if read.earlier is None and (read.problems or ((prompt.strip(), negative) == texts and not has_refused_image)):
        return ()
    is_raw = read.earlier is not None or line.options.raw  # it took the text of %wan make verbatim
    with suppress(RequestError):
        earlier = _Reader(line.options, FormerImages(resolver), is_raw=is_raw, known=reader.known)
        return earlier.requests(prompt, negative)
    return ()


class _Reader:
    """Reads the requests of one reading of a cell; ``known`` keeps what was evaluated, so that it happens once."""

    def __init__(
        self,
        options: argparse.Namespace,
        resolver: "Resolver | FormerImages",
        *,
        is_raw: bool,
        known: dict[tuple[object, str], Any] | None = None,
    ) -> None:
        self.options, self.resolver, self.is_raw = options, resolver, is_raw
        self.known = {} if known is None else known
        self.notes: list[str] = []
        self.problems: list[Problem] = []
        self.size_follows = ""

    def value(self, name: str) -> Any:
        """Return an option's value in its type; None where it is not given, or is wrong, which is a problem."""
        text = getattr(self.options, name)
        if text is None or isinstance(text, bool):
            return text
        option = next(option for option in cell_parser().options if option.dest == name)
        names = self.resolver.namespace
        field = "--as" if name == "name" else name
        return self._once(name, text, lambda: read_value(option, text, names, name=field))

    def requests(self, prompt: str, negative: str | None) -> tuple[ImageRequest, ...]:
        """Return one request a seed. Raise ``RequestError`` with everything that is wrong."""
        options = self.options
        if options.negative is not None and negative:
            message = "is given both as an option and below the prompt."
            self.problems.append(Problem("negative_prompt", "", message, "Keep one."))
        images: list[InputPicture] = []
        for position, text in enumerate(options.image or ()):
            images += self._pictures(text, "image", position)
        mode, n = mode_for(images, interleave=options.interleave), self.value("n")
        n = 1 if n is None else n
        seeds = split_seeds(self.value("seed"), n=n, mode=mode)
        names = [option.dest for option in cell_parser().options if option.dest in ImageRequest.model_fields]
        fields = {
            **{name: value for name in names if name != "seed" and (value := self.value(name)) is not None},
            "prompt": self.text(prompt.strip(), "prompt"),
            "negative_prompt": self.text(options.negative or negative or "", "negative_prompt"),
            "images": tuple(images),
            "size": self._size(tuple(images)),
        }
        self.notes += seeds.notes
        return build_requests(fields, seeds, self.problems)

    def text(self, text: str, field: str) -> str:
        """Return a text with its fields filled in, unless the cell is raw."""
        if self.is_raw:
            return text
        expanded = expand(text, self.resolver.namespace, field=field)
        self.problems += expanded.problems
        self.notes += expanded.notes
        return expanded.text

    def _once(self, place: object, text: str, read: Callable[[], Any]) -> Any:
        """Evaluate what stands in a place, once in all readings of a cell; None, with a problem, if that fails."""
        try:
            found = self.known[place, text] if (place, text) in self.known else read()
        except RequestError as error:
            found = error
        if not isinstance(found, ImageInputError):  # the former reading may know a picture that is refused
            self.known[place, text] = found
        if isinstance(found, RequestError):
            self.problems += found.problems
            return None
        return found

    def _pictures(self, text: str, field: str, position: object) -> tuple[InputPicture, ...]:
        """Return the pictures of one option."""
        found = self._once(position, text, lambda: pictures_of(text, self.resolver, field=field))
        if found == ():
            self.problems.append(Problem(field, text, "holds no picture.", "Leave it out, or add one."))
        return found or (_UNREADABLE,)

    def _size(self, images: tuple[InputPicture, ...]) -> str | None:
        size, like = self.value("size"), self.options.like
        if like is None or (size is None and self.options.size is not None):
            return str(size) if size is not None else None
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
