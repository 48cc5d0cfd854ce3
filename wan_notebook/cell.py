"""Magic line, cell body and namespace to requests: everything that is wrong is said at once, nothing is sent."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from . import catalog as c
from .call_rules import call_mode, distinct_seeds, like_size, name_problem, sweep_problems
from .cell_images import Picture, Resolver, pictures_of
from .errors import CellError, ImageInputError, Problem, RequestError
from .evaluate import evaluate_number, evaluate_seeds
from .images import load_image
from .inputs import InputImage, PendingImage
from .line import ReadLine, duration_s, line_error, nearest, read_line
from .options import CELL_OPTIONS
from .request import ImageRequest
from .rules import parse_size
from .secret import shown
from .template import expand, split_negative, text_hints

__all__ = ["CellCall", "DictResolver", "Resolver", "asks_for_help", "is_dry_run", "read_cell"]

_HELP_AT: Final = "%%wan?"
_UNREADABLE: Final = PendingImage(name="", job_id="")  # keeps the count, and so the mode, while others are checked


@dataclass(frozen=True)
class CellCall:
    """What a ``%%wan`` cell asks for. There is one request a seed; a request may still ask for several pictures.

    ``wait`` and ``embed`` are None where the cell leaves them to the settings, ``timeout_s`` is in seconds.
    ``size_follows`` names the picture of ``--like`` in a dry run that cannot look at it.
    """

    requests: tuple[ImageRequest, ...]
    seeds_asked: bool
    image_expressions: tuple[str, ...]
    like: str
    name: str
    tags: tuple[str, ...]
    provider: str | None
    wait: bool | None
    timeout_s: float | None
    dry_run: bool
    raw: bool
    fresh: bool
    embed: bool | None
    hints: tuple[str, ...]
    size_follows: str = ""


@dataclass(frozen=True)
class DictResolver:
    """Pictures from a namespace alone: there are no jobs, and URLs only with ``fetch``."""

    namespace: Mapping[str, Any] = field(default_factory=dict)
    fetch: Callable[[str], bytes] | None = None

    def image(self, value: object, name: str) -> tuple[Picture, ...]:
        """Load one picture. Raises ``ImageInputError``."""
        image = load_image(value, name=name, fetch=self.fetch)
        return (image if image.name == name or not isinstance(value, InputImage) else replace(image, name=name),)

    def job_image(self, job_id: str, index: int | None, name: str) -> Picture:
        """Raise ``ImageInputError``: there is no history here."""
        shown = job_id if index is None else f"{job_id}[{index}]"
        raise ImageInputError(name, f"no job {shown}: there is no history here.", hint="Give a variable or a path.")


def read_cell(line: str, body: str, resolver: Resolver) -> CellCall:
    """Read a ``%%wan`` cell (or ``%wan make``) into requests.

    Raises ``CellError`` if the line cannot be read and ``RequestError`` if the request breaks rules (WAN_API §1) or an
    input cannot be used: each lists everything that was found.
    """
    read = read_line(line, CELL_OPTIONS, help_at=_HELP_AT)
    if read.says("help"):
        raise CellError("--help asks for help; nothing was sent.", hint=f"Type {_HELP_AT}")
    return _CellReader(read, body, resolver).call()


def asks_for_help(line: str) -> bool:
    """Say whether a ``%%wan`` line asks for help instead of pictures."""
    return bool(read_line(line, CELL_OPTIONS).says("help"))


def is_dry_run(line: str) -> bool:
    """Say whether a line only asks what would be sent, so that its resolver may fetch nothing."""
    return bool(read_line(line, CELL_OPTIONS).says("dry_run"))


class _CellReader:
    """The state of reading one cell: what is known so far, and every problem."""

    def __init__(self, read: ReadLine, body: str, resolver: Resolver) -> None:
        self.read = read
        self.body = body
        self.resolver = resolver
        self.raw = bool(read.says("raw"))
        self.line_problems = list(read.problems)
        self.problems: list[Problem] = []
        self.hints = list(read.hints)
        self.size_follows = ""
        self.by_expression: dict[str, tuple[Picture, ...]] = {}

    def call(self) -> CellCall:
        tags = tuple(self._text(word.value, "tag") for word in self.read.words_of("tags"))
        expressions = tuple(word.value for word in self.read.words_of("image"))
        name, timeout_s, provider = self._name(expressions), self._timeout_s(), self._provider()
        fields = self._fields(expressions)
        seeds = self._seeds()
        requests = self._requests(fields, seeds)
        if self.line_problems:
            raise line_error(self.line_problems, self.problems)
        if self.problems:
            raise RequestError(self.problems)
        self.hints += text_hints(requests[0].prompt, len(requests[0].images))
        like = self.read.word_of("like")
        return CellCall(
            requests=requests,
            seeds_asked=seeds != [None],
            image_expressions=expressions,
            like=like.value if like else "",
            name=name,
            tags=tuple(dict.fromkeys(tags)),
            provider=provider,
            wait=self.read.says("wait"),
            timeout_s=timeout_s,
            dry_run=bool(self.read.says("dry_run")),
            raw=self.raw,
            fresh=bool(self.read.says("fresh")),
            embed=self.read.says("embed"),
            hints=tuple(dict.fromkeys(self.hints)),
            size_follows=self.size_follows,
        )

    def _fields(self, expressions: tuple[str, ...]) -> dict[str, Any]:
        prompt, negative = self._prompts()
        images = tuple(picture for text in expressions for picture in self._pictures(text, "image"))
        fields: dict[str, Any] = {
            "prompt": prompt,
            "negative_prompt": negative,
            "images": images,
            "interleave": bool(self.read.says("interleave")),
            "watermark": bool(self.read.says("watermark")),
            "prompt_extend": self.read.says("rewrite"),
            "max_images": self._number("max_images", None),
            "n": self._number("n", 1),
        }
        fields["size"] = self._size(images, interleave=fields["interleave"])
        return fields

    # Texts ---------------------------------------------------------------------------------------------------------

    def _text(self, text: str, name: str) -> str:
        if self.raw:
            return text
        expanded = expand(text, self.resolver.namespace, field=name)
        self.problems += expanded.problems
        self.hints += expanded.hints
        return expanded.text

    def _prompts(self) -> tuple[str, str]:
        text, negative = split_negative(self.body)
        if word := self.read.word_of("negative"):
            if negative:
                message = "stands in the first line and in the text's last line."
                self.problems.append(Problem("negative_prompt", "", message, "Keep one."))
            negative = word.value
        return self._text(text.strip(), "prompt"), self._text(negative or "", "negative_prompt")

    # Pictures ------------------------------------------------------------------------------------------------------

    def _pictures(self, text: str, name: str) -> tuple[Picture, ...]:
        if name == "like" and text in self.by_expression:
            return self.by_expression[text]
        try:
            found = pictures_of(text, self.resolver, field=name)
        except RequestError as error:
            self.problems += error.problems
            found = (_UNREADABLE,)
        if not found:
            self.problems.append(Problem(name, text, "holds no picture.", "Leave it out, or fill it."))
            found = (_UNREADABLE,)
        if name == "image":
            self.by_expression[text] = found
        return found

    def _size(self, images: tuple[Picture, ...], *, interleave: bool) -> str | None:
        word, like = self.read.word_of("size"), self.read.word_of("like")
        before = len(self.problems)
        size = self._text(word.value, "size") if word else None
        if len(self.problems) > before:
            return None
        return self._size_like(like.value, size, images, interleave=interleave) if like else size

    def _size_like(self, like: str, size: str | None, images: tuple[Picture, ...], *, interleave: bool) -> str | None:
        found = [picture for picture in self._pictures(like, "like") if picture is not _UNREADABLE]
        sent, problems = like_size(found, like, size, call_mode(images, interleave=interleave))
        is_unseen = len(found) == 1 and isinstance(found[0], PendingImage)
        if is_unseen and self.read.says("dry_run") and not isinstance(parse_size(size or ""), tuple):
            self.size_follows = found[0].name  # a dry run looks at nothing that is not here
        else:
            self.problems += problems
        return sent

    # Numbers -------------------------------------------------------------------------------------------------------

    def _number(self, name: str, default: int | None) -> Any:
        word = self.read.word_of(name)
        if word is None:
            return default
        try:
            return evaluate_number(word.value, self.resolver.namespace, name)
        except RequestError as error:
            self.problems += error.problems
            return default

    def _seeds(self) -> list[Any]:
        word = self.read.word_of("seed")
        if word is None:
            return [None]
        try:
            given = evaluate_seeds(word.value, self.resolver.namespace)
        except RequestError as error:
            self.problems += error.problems
            return [None]
        seeds, hints = distinct_seeds(given)
        self.hints += hints
        return seeds

    def _requests(self, fields: dict[str, Any], seeds: list[Any]) -> tuple[ImageRequest, ...]:
        mode = call_mode(fields["images"], interleave=fields["interleave"])
        problems = sweep_problems(seeds, fields["n"], mode)
        requests = []
        for seed in seeds[: c.TASKS_PER_CALL_MAX]:
            try:
                requests.append(ImageRequest(**fields, seed=seed))
            except RequestError as error:
                problems += error.problems
        self.problems += dict.fromkeys(problems)
        return tuple(requests)

    # What is ours --------------------------------------------------------------------------------------------------

    def _name(self, expressions: tuple[str, ...]) -> str:
        word = self.read.word_of("name")
        if word is None:
            return ""
        name = word.value
        why, hint = name_problem(name)
        if why:
            self.line_problems.append(Problem("--as", name, why, hint))
        if any(re.search(rf"\b{re.escape(name)}\b", text) for text in expressions):
            self.hints.append(
                f"--as {name} replaces the picture that -i reads: run again, the cell edits its own result"
            )
        return name

    def _timeout_s(self) -> float | None:
        word = self.read.word_of("timeout")
        if word is None:
            return None
        seconds = duration_s(word.value)
        if not seconds:
            self.line_problems.append(Problem("--timeout", word.value, "is no time.", "Write seconds, 90s or 15m."))
        return seconds

    def _provider(self) -> str | None:
        word = self.read.word_of("provider")
        if word is None or word.value in c.PROVIDERS:
            return word.value if word else None
        hint = nearest(word.value, c.PROVIDERS) or f"Known: {', '.join(c.PROVIDERS)}."
        self.line_problems.append(Problem("--provider", shown(word.value).strip("'"), "is no service.", hint))
        return None
