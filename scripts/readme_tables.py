"""Write the README's tables of options and commands from the parser's own table, that of models from their records.

.venv/bin/python scripts/readme_tables.py
"""

import re
from decimal import Decimal
from math import isqrt
from pathlib import Path

from wan_notebook.magics import cell_parser, command_parsers, option_rows
from wan_notebook.models import MODELS, Mode, ModelRecord
from wan_notebook.money import format_amount

README = Path(__file__).resolve().parent.parent / "README.md"


def mode_of(record: ModelRecord, mode: Mode) -> str:
    """Return what a mode of a model takes and makes."""
    if (limits := record.modes.get(mode)) is None:
        return "–"
    low, high = isqrt(limits.total_min_px), isqrt(limits.total_max_px)
    least = 1 if mode is Mode.EDIT else 0
    takes = f"{least} to {limits.images_max} pictures in; " if limits.images_max else ""
    made = record.max_images_max if mode is Mode.ILLUSTRATED else limits.n_max
    makes = "one each" if limits.splits else f"{limits.n_min} to {made} at once"
    return f"{takes}{makes}; {', '.join([*limits.tiers, f'{low}² to {high}² px'])}"


def option_of(record: ModelRecord, name: str) -> str:
    """Return in which modes an option acts."""
    modes = [mode for mode, limits in record.modes.items() if name in limits.options]
    return "yes" if len(modes) == len(record.modes) else ", ".join(modes) or "–"


def price_of(record: ModelRecord) -> str:
    """Return the list prices of a model."""
    prices = [f"{format_amount(Decimal(amount), code)} ({at})" for at, (amount, code) in record.list_prices.items()]
    return f"{', '.join(prices)}; {record.list_date}"


ASPECT = "longest shape, made / taken"
MODEL_FACTS = {
    "prompt": lambda record: f"{record.prompt_max_chars:,} characters",
    **{mode.value: lambda record, mode=mode: mode_of(record, mode) for mode in Mode},
    ASPECT: lambda record: f"{record.aspect_max:g}:1 / {record.image_aspect_max:.0f}:1",
    "`--negative`": lambda record: option_of(record, "negative_prompt"),
    "`--rewrite`": lambda record: option_of(record, "prompt_extend"),
    "`--thinking`": lambda record: option_of(record, "thinking"),
    "list price": price_of,
}
OPTIONS = [(f"`{left}`", right) for left, right in option_rows(cell_parser())]
COMMANDS = [(f"`{parser.synopsis}`", parser.summary) for parser in command_parsers().values()]
MODEL_ROWS = [(name, *(fact(record) for record in MODELS.values())) for name, fact in MODEL_FACTS.items()]
TABLES = {
    "models": (("", *(f"`{name}`" for name in MODELS)), MODEL_ROWS),
    "options": (("Option", "What it does"), OPTIONS),
    "commands": (("Command", "What it does"), COMMANDS),
}


def filled(text: str) -> str:
    """Return the README with its tables as the parser has them."""
    for name, (head, rows) in TABLES.items():
        cells = [[cell.replace("|", "\\|") for cell in row] for row in (head, *rows)]
        lines = [f"| {' | '.join(row)} |" for row in cells]
        table = "\n".join([lines[0], "|---" * len(head) + "|", *lines[1:]])
        pieces = re.split(rf"(<!-- {name}:[^>]*-->\n).*?(<!-- /{name} -->)", text, flags=re.DOTALL)
        if len(pieces) != 4:
            raise SystemExit(f"README.md needs exactly one place for the table of {name}")
        before, begin, end, after = pieces
        text = f"{before}{begin}\n{table}\n{end}{after}"
    return text


if __name__ == "__main__":
    README.write_text(filled(README.read_text("utf-8")), "utf-8")
