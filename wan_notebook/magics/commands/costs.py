"""Commands on money: cost and budget."""

import argparse

from ...budget import parse_budget
from .context import Context


def run_cost(options: argparse.Namespace, context: Context) -> None:
    """Show what was spent."""
    from ...display import cost_table, publish, table_bundle

    publish(table_bundle(cost_table(context.session, by=options.by, everywhere=options.everywhere)))


def run_budget(options: argparse.Namespace, context: Context) -> None:
    """Show, set or remove budgets."""
    from ...display import budget_table, publish, table_bundle

    text, message = " ".join(options.words), ""
    if text:
        context.session.need_project()  # a notebook's budget is kept in the folder's ledger
    budgets = context.session.budgets
    if text.lower() == "off":
        removed = "; ".join(budget.text for budget in budgets.remove(options.per))
        message = f"removed: {removed}" if removed else "nothing to remove"
    elif text:
        budget = parse_budget(text, per=options.per)
        budgets.set(budget)
        message = f"set: {budget.text}"
    publish(table_bundle(budget_table(context.session, message)))
