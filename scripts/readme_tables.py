"""Write the README's tables of options and commands from the parser's own table.

.venv/bin/python scripts/readme_tables.py
"""

import re
from pathlib import Path

from wan_notebook.magics import cell_parser, command_parsers, option_rows

README = Path(__file__).resolve().parent.parent / "README.md"
COMMANDS = [(parser.synopsis, parser.summary) for parser in command_parsers().values()]
TABLES = {"options": ("Option", option_rows(cell_parser())), "commands": ("Command", COMMANDS)}


def filled(text: str) -> str:
    """Return the README with its tables as the parser has them."""
    for name, (head, rows) in TABLES.items():
        cells = [(left.replace("|", "\\|"), right.replace("|", "\\|")) for left, right in rows]
        lines = [f"| {head} | What it does |", "|---|---|", *(f"| `{left}` | {right} |" for left, right in cells)]
        table = "\n".join(lines)
        pieces = re.split(rf"(<!-- {name}:[^>]*-->\n).*?(<!-- /{name} -->)", text, flags=re.DOTALL)
        if len(pieces) != 4:
            raise SystemExit(f"README.md needs exactly one place for the table of {name}")
        before, begin, end, after = pieces
        text = f"{before}{begin}\n{table}\n{end}{after}"
    return text


if __name__ == "__main__":
    README.write_text(filled(README.read_text("utf-8")), "utf-8")
