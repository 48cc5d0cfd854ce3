"""Two repairs of a cell's text before IPython reads it (measured traps of IPython's own syntax).

A ``%%wan`` without a body would raise IPython's own error before any magic runs, which nbval does not see; and
``%wan make a fox or a dog?`` would be read as a request for help.
"""

from __future__ import annotations

import re

# An optional target, then %wan and its words: what IPython would turn into the same call, if it did not end in `?`.
_ENDS_IN_QUESTION = re.compile(r"(?P<head>\s*(?:[A-Za-z_]\w*\s*=\s*)?)%wan[ \t]+(?P<words>\S.*\?)\s*\Z")


def transform_lines(lines: list[str]) -> list[str]:
    """Return the cell's lines, changed only where they are ours."""
    written = [line for line in lines if line.strip()]
    first = written[0].strip() if written else ""
    if first.startswith("%%"):
        is_bare = len(written) == 1 and first[:6].rstrip() == "%%wan"
        return [f"{first}\n", "\n"] if is_bare else lines
    return [_as_call(line) for line in lines]


# A terminal asks after each line whether the cell is complete; there the body is still to come.
transform_lines.has_side_effects = True  # type: ignore[attr-defined]


def _as_call(line: str) -> str:
    match = _ENDS_IN_QUESTION.match(line)
    if match is None:
        return line
    return f"{match['head']}get_ipython().run_line_magic('wan', {match['words'].rstrip()!r})\n"
