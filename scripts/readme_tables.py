"""Write the README's tables of options and commands from the parser's own table.

.venv/bin/python scripts/readme_tables.py
"""

from __future__ import annotations

import re
from pathlib import Path

from wan_notebook.usage import options_table_markdown, subcommands_table_markdown

README = Path(__file__).resolve().parent.parent / "README.md"
TABLES = {"options": options_table_markdown, "commands": subcommands_table_markdown}


def filled(text: str) -> str:
    """Return the README with its tables as the parser has them."""
    for name, table in TABLES.items():
        marks = re.compile(rf"(<!-- {name}:[^>]*-->\n).*?(<!-- /{name} -->)", re.DOTALL)
        text, count = marks.subn(lambda found, table=table: f"{found[1]}\n{table()}\n{found[2]}", text)
        if count != 1:
            raise SystemExit(f"README.md has {count} places for the table of {name}, not one")
    return text


if __name__ == "__main__":
    README.write_text(filled(README.read_text("utf-8")), "utf-8")
