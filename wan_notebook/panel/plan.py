"""What the form asks for: read by the rules of its cell, and planned by the session as a dry run is.

The button's price is that of the plan, and a click submits a plan with the terms that were shown.
"""

import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from ..display import format_expected_size, safe_line, safe_text
from ..errors import CellError, Problem, RequestError, WanError
from ..jobs import Job
from ..magics import expand, read_cell, split_negative
from ..models import PROVIDERS, RATIOS
from ..money import format_amount
from ..replay import CellId
from ..resolver import Resolver
from ..session import Plan, Session
from ..text import pluralize
from ..validation import Mode
from .feeds import Feed, Message
from .form import LIMITS, Form

if TYPE_CHECKING:
    from .panel import Panel

_OTHER_NAMES: Final = {"image": "images", "tag": "tags", "max_images": "n"}
"""The form's names for fields that problems call otherwise."""
_PREVIEW_MAX_CHARS: Final = 2400
_SEED_HINT: Final = "empty: a new one each time · 5..8 or 5,9,12 for several"


class _ModeHints(NamedTuple):
    """What a mode means for the fields: how many, the size that the service chooses, the most pixels in total."""

    n: str
    auto_size: str
    most_px: int

    @property
    def size(self) -> str:
        least, most = (f"{px**0.5:.0f}×{px**0.5:.0f}" for px in (LIMITS.total_min_px, self.most_px))
        return f"{least} to {most} pixels in total, sides from 1:4 to 4:1"


_HINTS: Final = {
    Mode.EDIT: _ModeHints(
        f"1 to {LIMITS.n_max}, in one job", "1K in the shape of the last picture", LIMITS.edit_total_max_px
    ),
    Mode.TEXT_TO_IMAGE: _ModeHints("each with the next seed", "1280×1280", LIMITS.text_total_max_px),
    Mode.ILLUSTRATED: _ModeHints(
        f"1 to {LIMITS.max_images_max}; the text decides", "follows the picture", LIMITS.text_total_max_px
    ),
}


@dataclass(frozen=True, kw_only=True)
class FormPlan:
    """The session's plan for a form, or what is wrong: ``problems`` by field, ``error`` for anything else."""

    form: Form
    problems: Mapping[str, tuple[str, ...]]
    plan: Plan | None = None
    error: str = ""

    @property
    def terms(self) -> list[object]:
        """What a person agrees to with a click: the service, how many new pictures, and the most that they cost."""
        plan = self.plan
        cost = plan.cost_max if plan else None
        most = [str(cost.amount), cost.currency] if cost else []
        return [plan.settings.provider, plan.pictures_max, *most] if plan else []

    @property
    def button(self) -> tuple[str, str]:
        """The button's text, with the most that a click can cost, and the smaller line below."""
        plan, count = self.plan, sum(map(len, self.problems.values()))
        if plan is None:
            return "Generate", f"{pluralize(count, 'problem')} above" if count and self.form.prompt.strip() else ""
        if plan.is_free and any(job.is_open for job in plan.jobs):
            return "Already running · $0.00", "The same request is in progress; its result will appear here"
        if plan.is_free:
            return "From store · $0.00", "Already in the store: nothing will be sent"
        most = pluralize(plan.pictures_max, "picture")
        detail = f"at most {most}" if self.form.mode is Mode.ILLUSTRATED else most
        if stored := len(plan.jobs) - len(plan.new_jobs):
            detail += f" · {stored} more from the store"
        cost = plan.cost_max
        if plan.settings.is_simulated:
            return "Generate · practice (free)", detail
        if plan.price is None or cost is None or cost.amount is None:
            return "Generate · price unknown", detail
        return f"Generate · up to {format_amount(cost.amount, cost.currency)}", f"{detail} · {plan.price.note}"


def plan_form(form: Form, session: Session, resolver: Resolver, cell_id: CellId) -> FormPlan:
    """Plan a form without sending anything. Never raises for what a person typed, nor for wrong settings."""
    tag_problems = expand(form.tags, resolver.namespace, field="tag").problems
    found: list[Problem] = [*form.problems, *tag_problems]
    cell = (replace(form, tags="") if tag_problems else form).cell
    plan, error = None, ""
    try:
        submission = read_cell(cell.line, cell.body, resolver).submission
        # An empty seed means a new picture at every click, whatever the store has.
        is_new = not form.seed.strip() and session.replay_mode(session.settings(submission.provider)) != "only"
        if not found:
            plan = session.plan(replace(submission, cell=cell_id, fresh=is_new))
    except RequestError as failure:
        found += failure.problems
    except WanError as failure:
        error = " ".join(line.strip() for line in failure.lines())
    if not form.prompt.strip():
        found = [problem for problem in found if problem.field != "prompt"]
        found.append(Problem("prompt", "", "Describe the picture that you want."))
    return FormPlan(form=form, problems=_by_field(found), plan=plan, error=error)


def _by_field(problems: Iterable[Problem]) -> dict[str, tuple[str, ...]]:
    """Return the lines of each field, each once."""
    found: dict[str, dict[str, None]] = {}
    for problem in problems:
        message = f"{problem.message[:1].upper()}{problem.message[1:]}"
        if problem.value and not problem.value.endswith("…"):  # a long value is seen in its field
            message = f"{problem.value}: {problem.message}"
        hint = problem.hint.replace(", or add --raw", "")  # the panel has no such option
        name = _OTHER_NAMES.get(problem.field, problem.field)
        found.setdefault(name, {})[safe_line(f"{message} {hint}".strip(), 400)] = None
    return {name: tuple(lines) for name, lines in found.items()}


def size_choices(mode: Mode) -> list[dict[str, Any]]:
    """Return the sizes of a mode: one that it does not have stays in its place, and cannot be chosen."""
    is_off = mode is not Mode.EDIT
    tiers = [
        {"name": tier, "value": tier, "title": f"{tier}, in edits only", "disabled": is_off} for tier in LIMITS.tiers
    ]
    shapes = [
        {"name": name, "value": name, "title": f"{name}, {width}×{height} pixels", "width": width, "height": height}
        for name, (width, height) in RATIOS.items()
    ]
    return [{"name": "Auto", "value": "", "title": f"left to the service: {_HINTS[mode].auto_size}"}, *tiers, *shapes]


class PlanFeed(Feed):
    """Keeps ``panel.check``: what the form asks for, its price, and what is wrong with it; and submits it at a click.

    ``notes`` are about what was recalled.
    """

    name = "form"

    def __init__(self, panel: "Panel") -> None:
        self.notes: tuple[str, ...] = ()
        self._clicks = threading.Lock()
        self._runs = 0
        super().__init__(panel)
        settings = self.session.settings()
        panel.show(  # what stays the same
            fixed={
                "service": f"{settings.provider}: {settings.chosen_because}",
                "services": [["", f"as set ({settings.provider})"], *([name, name] for name in PROVIDERS)],
                "limits": {"prompt": LIMITS.prompt_max_chars, "negative_prompt": LIMITS.negative_prompt_max_chars},
            }
        )

    def update(self) -> None:
        """Read the form as it is now."""
        self.plan(self.panel.picker.resolver())

    def plan(self, resolver: Resolver) -> FormPlan:
        """Plan the form, show what that means, and return it."""
        form, names = self.panel.form, resolver.namespace
        # Each click is an execution of its own, so that the same form asks anew.
        execution = f"panel-{id(self)}-{self._runs}"
        cell_id = replace(self.session.cell(), cell_id="", execution=execution, is_interactive=True)
        made = plan_form(form, self.session, resolver, cell_id)
        lengths = {"prompt": split_negative(form.prompt)[0].strip(), "negative_prompt": form.negative_prompt.strip()}
        hints = {
            "prompt": " · ".join(made.plan.notes if made.plan else ()),
            "n": _HINTS[form.mode].n,
            "seed": _SEED_HINT,
        }
        self.panel.show(
            check={
                "label": made.button[0],
                "detail": made.button[1],
                "terms": made.terms,
                "error": made.error,
                "is_ready": made.plan is not None,
                "is_untouched": not form.prompt.strip() and set(made.problems) == {"prompt"},
                "problems": made.problems,
                "hints": {name: safe_line(hint, 300) for name, hint in hints.items()},
                "filled_in": {name: len(expand(text, names).text) - len(text) for name, text in lengths.items()},
                "preview": safe_text(expand(form.prompt, names).text)[:_PREVIEW_MAX_CHARS]
                if {*"{}"} & {*form.prompt}
                else "",
                "images": [self.panel.picker.facts(expression, resolver) for expression in form.images],
                "sizes": size_choices(form.mode),
                "size_limits": _HINTS[form.mode].size,
                "expected_size": safe_line(format_expected_size(made.plan.requests[0]), 100) if made.plan else "",
                "cell": str(form.cell),
                "notes": [safe_line(note, 300) for note in self.notes],
            }
        )
        return made

    def submit(self, made: FormPlan) -> Job:
        """Submit a plan. Raise ``CellError`` if it has problems, or what ``session.submit`` raises."""
        if made.plan is None:
            raise CellError("\n".join([line for found in made.problems.values() for line in found] or [made.error]))
        self._runs += 1
        job = self.session.submit(made.plan)
        if name := made.form.name.strip():
            self.panel.namespace[name] = job
        self.panel.refresh()
        self.panel.keep_static(job)
        return job

    def on_generate(self, message: Message) -> None:
        """Submit what the page's fields hold, at the price that the person saw, once a click."""
        with self._clicks:
            if message["click"] <= self.panel.answered:
                return
            try:
                self.panel.show(values=Form.of_values(message["values"]).values)  # the newest may be on their way
                made = self.plan(self.session.resolver(self.panel.namespace))
                if made.plan and not made.plan.is_free and made.terms != message["terms"]:
                    raise CellError("The price has changed.", hint="Check the button, then press it again.")
                self.submit(made)
            finally:
                self.panel.show(answered=message["click"])
