"""Commands on money: cost and budget."""

from __future__ import annotations

from decimal import Decimal

from .. import host
from ..budget import Cap, Per
from ..session.caps import Caps
from ..subcommands import SubCall
from ..views.costs import cost_bundle
from .context import Context


def do_cost(call: SubCall, ctx: Context) -> None:
    """Show what was spent."""
    by = call.options.get("by")
    ctx.publish(cost_bundle(ctx.tables().cost(by=by, everywhere=bool(call.options.get("everywhere")))))


def do_budget(call: SubCall, ctx: Context) -> None:
    """Show, set or remove caps."""
    caps = _caps(ctx, sets=bool(call.options))
    per: Per | None = call.options.get("per")
    if call.options.get("off"):
        caps.remove(per)
    elif "pictures" in call.options:
        caps.set(Cap(Decimal(call.options["pictures"]), per or "total", ""))
    elif call.options.get("amount") is not None:
        caps.set(Cap(call.options["amount"], per or "total", call.options["currency"]))
    ctx.say("\n".join(caps.lines()))


def _caps(ctx: Context, *, sets: bool = False) -> Caps:
    home = ctx.session.home(create=sets)
    return Caps(
        ctx.session.settings(), home.ledger if home else None, ctx.session.sources, host.notebook_path(ctx.shell)
    )
