"""The form: what its fields hold, the ``%%wan`` cell that they stand for, and what that cell would do.

The form is read by the rules of its cell, and planned by the session as a dry run is. The button's price is that of
the plan, and a click submits a plan with the terms that were shown.
"""

import re
import threading
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from ..display import format_expected_size, safe_line
from ..errors import CellError, Problem, RequestError, WanError
from ..jobs import Job
from ..magics import CellText, cell_parser, read_cell, split_negative, write_cell
from ..models import MODEL, MODELS, PROVIDERS, ModelRecord
from ..resolver import Resolver
from ..session import Plan
from ..template import expand
from ..text import one_line, pluralize, safe_text
from ..validation import Mode, limits_of, mode_for, record_of, size_text
from .feeds import Feed, Message

FIELDS: Final[Mapping[str, Any]] = {
    **dict.fromkeys(("prompt", "negative_prompt", "size", "seed", "provider", "tags", "name"), ""),
    **dict.fromkeys(("interleave", "sequential", "watermark"), False),
    **dict.fromkeys(("prompt_extend", "thinking"), True),
    "model": MODEL,
    "images": [],
    "n": 1,
    "max_images": MODELS[MODEL].max_images_default,
}
"""The fields, named as the parameters of ``generate``, with what they hold at first.

Texts are as typed: ``prompt``, ``negative_prompt`` and ``tags`` (separated by commas) may hold ``{names}``, ``seed``
may be ``5``, ``5..8`` or ``5,9``. ``images`` are what stands after ``-i``. An empty text leaves it to the service.
"""
_NUMBER_OR_NAME: Final = r"(?:\d{1,12}|[^\W\d]\w*)"
_SEEDS: Final = re.compile(rf"{_NUMBER_OR_NAME}(?:(?:\.\.\.?|…|,){_NUMBER_OR_NAME})*|")
_SAME: Final = (*("model", "interleave", "sequential", "n", "max_images", "seed", "size", "watermark", "tags", "name"),)
"""Fields that a cell's options have under the same names."""
_NAMES: Final = {"image": "images", "tag": "tags", "--as": "name"}
"""The form's names for fields that problems call otherwise."""
_DESCRIBE: Final = "Describe the picture that you want."


def read_values(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return values of fields in their own types, from any type that ``generate`` takes. Raise ``CellError``."""
    if unknown := [name for name in given if name not in FIELDS]:
        raise CellError(f"the panel has no field {unknown[0]}.", hint=f"Fields are: {', '.join(FIELDS)}.")
    return {name: _read(size_text(value) if name == "size" else value, FIELDS[name]) for name, value in given.items()}


def values_of_cell(cell: str) -> dict[str, Any]:
    """Return what a cell asks, without its service."""
    line, _, body = cell.removeprefix("%%wan").partition("\n")
    options = cell_parser().read(line).options
    prompt, negative, _ = split_negative(body)
    texts = {"prompt": prompt.strip(), "negative_prompt": options.negative or negative, "images": options.image}
    same = {name: getattr(options, name) for name in _SAME}
    switches = {name: getattr(options, name) is not False for name in ("prompt_extend", "thinking")}
    return read_values({**texts, **same, **switches})


def seeds_of(values: Mapping[str, Any]) -> str | None:
    """Return what stands after ``--seed``; None for anything but numbers, names, ranges and lists of them."""
    text = "".join(values["seed"].split())
    return text if _SEEDS.fullmatch(text) else None


def cell_of_values(values: Mapping[str, Any]) -> CellText:
    """Return the cell that asks the same, without a seed that cannot be read and what the model does not have."""
    cell = {name: value.strip() if isinstance(value, str) else value for name, value in values.items()}
    record = record_of(cell["model"])
    is_story = values["interleave"] and Mode.ILLUSTRATED in record.modes
    is_set = values["sequential"] and Mode.SET in record.modes
    mode = mode_for(values["images"], interleave=is_story, sequential=is_set)
    options = limits_of(cell["model"], mode).options
    is_limited = "max_images" in options and values["max_images"] != record.max_images_default
    cell |= {
        "interleave": is_story,
        "sequential": is_set,
        "seed": seeds_of(values),
        "tags": dict.fromkeys(tag for part in values["tags"].split(",") if (tag := " ".join(part.split()))),
        "n": 1 if mode is Mode.ILLUSTRATED else values["n"],
        "max_images": values["max_images"] if is_limited else None,
        **{name: False if name in options and not values[name] else None for name in ("prompt_extend", "thinking")},
    }
    return write_cell(cell.pop("prompt"), cell.pop("negative_prompt"), **cell)


def _read(value: Any, default: Any) -> Any:
    """Return a value in the type of its field; the default for None and for what is not a number."""
    if value is None:
        return default
    if isinstance(default, list):
        return [str(one) for one in value] if isinstance(value, list | tuple) else [str(value)]
    if type(default) is int:
        return int(value) if re.fullmatch(r"-?\d{1,6}", str(value), re.ASCII) else default
    if isinstance(value, list | tuple | range):  # several seeds or tags
        return ", ".join(map(str, value))
    return type(default)(value)


# What the form would do -----------------------------------------------------------------------------------------------


class FormFeed(Feed):
    """Keeps ``panel.check``: what the form asks for, its price, and what is wrong with it; and submits it at a click.

    ``notes`` are about what was recalled.
    """

    name = "form"

    def start(self) -> None:
        """Show what stays the same."""
        self.notes: Sequence[str] = ()
        self._clicks = threading.Lock()
        self._runs = 0
        settings = self.session.settings()
        self.panel.show(
            fixed={
                "service": f"{settings.provider}: {settings.chosen_because}",
                "services": PROVIDERS,
                "models": {name: model_facts(record) for name, record in MODELS.items()},
            }
        )

    def update(self) -> None:
        """Read the form as it is now."""
        self.plan(self.panel.picker.resolver())

    def plan(self, resolver: Resolver) -> Plan | None:
        """Plan the form without sending anything, and show what that means; None if something is wrong."""
        form, plan, found = read_values(self.panel.values), None, list[Problem]()
        cell, record = cell_of_values(form), record_of(form["model"])
        prompt, seed = form["prompt"], form["seed"].strip()
        if seeds_of(form) is None:
            found.append(Problem("seed", one_line(seed, 40), "not a seed.", "Write 5, 5..8 or 5,9,12."))
        execution = f"panel-{id(self)}-{self._runs}"  # each click is one of its own, so that the same form asks anew
        cell_id = replace(self.session.cell(), cell_id="", execution=execution, is_interactive=True)
        try:
            submission, _ = read_cell(cell_parser().read(cell.line), cell.body, resolver)
            # An empty seed means a new picture at every click, whatever the store has.
            is_new = not seed and self.session.replay_mode(self.session.settings(form["provider"])) != "only"
            if not found:
                plan = self.session.plan(replace(submission, cell=cell_id, fresh=is_new))
        except RequestError as failure:
            found += failure.problems
        except WanError as failure:
            found.append(Problem("", "", str(failure)))
        label, detail = _button(plan)
        preview = safe_text(expand(prompt, resolver.namespace).text)[: record.prompt_max_chars]
        hint = _DESCRIBE if not prompt.strip() else " · ".join(plan.submission.notes) if plan else ""
        self.panel.show(
            check={
                "label": label,
                "detail": detail,
                "terms": _terms(plan),
                "is_ready": plan is not None,
                "problems": _by_field(one for one in found if one.field != "prompt" or prompt.strip()),
                "hints": {
                    "prompt": safe_line(hint, 300),
                    "n": _n_hint(record),
                    "max_images": f"1 to {record.max_images_max}; the text decides",
                    "seed": "a new one each time if empty · 5..8 or 5,9,12 for several",
                },
                "preview": "" if preview == prompt else preview,
                "images": [self.panel.picker.facts(expression) for expression in form["images"]],
                "expected_size": safe_line(format_expected_size(plan.requests[0]), 100) if plan else "",
                "cell": str(cell),
                "notes": [safe_line(note, 300) for note in self.notes],
            }
        )
        return plan

    def submit(self, plan: Plan | None) -> Job:
        """Submit a plan. Raise ``CellError`` if there is none, or what ``session.submit`` raises."""
        if plan is None:
            raise CellError(
                "\n".join(line for lines in self.panel.check["problems"].values() for line in lines) or _DESCRIBE
            )
        self._runs += 1
        job = self.session.submit(plan)
        if plan.submission.name:
            self.panel.namespace[plan.submission.name] = job
        self.panel.refresh()
        self.panel.keep_static(job)
        return job

    def on_generate(self, message: Message) -> None:
        """Submit what the page's fields hold, at the price that the person saw, once a click."""
        with self._clicks:
            if message["click"] <= self.panel.answered:
                return
            try:
                self.panel.fill(**message["values"])  # the newest may be on their way
                plan = self.plan(self.session.resolver(self.panel.namespace))
                if plan and not plan.is_free and _terms(plan) != message["terms"]:
                    raise CellError("The price has changed.", hint="Check the button, then press it again.")
                self.submit(plan)
            finally:
                self.panel.show(answered=message["click"])


def model_facts(record: ModelRecord) -> dict[str, Any]:
    """Return what the page's fields know of a model.

    ``sizes`` are width and height in px by name, None for tiers; ``modes`` say which tiers and options each has.
    """
    tiers = dict.fromkeys(tier for limits in record.modes.values() for tier in limits.tiers)
    return {
        "sizes": {**tiers, **record.ratios},
        "modes": {mode: [*limits.tiers, *limits.options] for mode, limits in record.modes.items()},
        "limits": {"prompt": record.prompt_max_chars, "negative_prompt": record.negative_prompt_max_chars},
    }


def _n_hint(record: ModelRecord) -> str:
    limits = record.modes.get(Mode.EDIT, record.modes[Mode.TEXT_TO_IMAGE])
    if record.modes[Mode.TEXT_TO_IMAGE].splits:
        return f"1 to {limits.n_max} in an edit; else each with the next seed"
    sets = record.modes.get(Mode.SET)
    return f"1 to {limits.n_max}" + (f"; a set has {sets.n_min} to {sets.n_max} at most" if sets else "")


def _terms(plan: Plan | None) -> list[object]:
    """Return what a person agrees to with a click: service, model, how many new pictures, and the most they cost."""
    return [plan.settings.provider, plan.requests[0].model, plan.pictures_max, plan.cost_text] if plan else []


def _button(plan: Plan | None) -> tuple[str, str]:
    """Return the button's text, with the most that a click can cost, and the smaller line below."""
    if plan is None:
        return "Generate", ""
    if plan.is_free and any(job.is_open for job in plan.jobs):
        return "Already running · $0.00", "The same request is in progress; its result will appear here"
    if plan.is_free:
        return "From store · $0.00", "Already in the store: nothing will be sent"
    stored, is_practice = len(plan.jobs) - len(plan.new_jobs), plan.settings.is_simulated
    more = f"{stored} more from the store" if stored else ""
    facts = [pluralize(plan.pictures_max, "picture"), more, plan.price.note if plan.price and not is_practice else ""]
    price = "practice (free)" if is_practice else plan.cost_text.partition(" (")[0]
    return f"Generate · {price}", " · ".join(filter(None, facts))


def _by_field(problems: Iterable[Problem]) -> dict[str, list[str]]:
    """Return the lines of each field, each once; those of no field under an empty name."""
    found: dict[str, dict[str, None]] = defaultdict(dict)
    for problem in problems:
        hint = problem.hint.replace(", or add --raw", "")  # the panel has no such option
        line = f"{problem.value}: {problem.message} {hint}".removeprefix(": ")
        found[_NAMES.get(problem.field, problem.field)][safe_line(line, 400)] = None
    return {name: list(lines) for name, lines in found.items()}
