"""The ``parameters`` text that A1111, Civitai and InvokeAI read: prompt, negative prompt, one line of settings."""

from __future__ import annotations

import json
import re
from typing import Final

from wan_notebook.recipe.model import Recipe

_NEGATIVE: Final = "Negative prompt:"
_KEY: Final = re.compile(r"\w[\w \-/]{0,58}\Z")
_MAX_PAIRS: Final = 200


def write_parameters(recipe: Recipe) -> str:
    """Write what is true of this picture.

    ``Steps`` is 0, which readers take as "not stated": Civitai knows the settings line only by its beginning with
    ``Steps: `` and a number, and the service tells no number of steps.
    """
    pairs: list[tuple[str, object]] = [("Steps", 0)]
    sent, picture = recipe.parameters, recipe.picture
    if sent.seed is not None:
        pairs.append(("Seed", sent.seed))
    if picture.width_px and picture.height_px:
        pairs.append(("Size", f"{picture.width_px}x{picture.height_px}"))
    pairs.append(("Model", recipe.model))
    if sent.prompt_extend is not None:
        pairs.append(("Prompt rewriting", "on" if sent.prompt_extend else "off"))
    pairs.append(("Mode", recipe.mode))
    version = recipe.versions.get("wan-notebook", "")
    pairs.append(("Version", f"wan_notebook {version}".strip()))
    lines = [recipe.prompt]
    if recipe.negative_prompt:
        lines.append(f"{_NEGATIVE} {recipe.negative_prompt}")
    lines.append(", ".join(f"{key}: {_quoted(str(value))}" for key, value in pairs))
    return "\n".join(lines)


def _quoted(value: str) -> str:
    return json.dumps(value, ensure_ascii=False) if re.search(r'[,:"\n]', value) or not value else value


def split_parameters(text: str) -> tuple[str, str, dict[str, str]]:
    """Split into prompt, negative prompt and settings; any text at all is a prompt."""
    *lines, last = text.replace("\r\n", "\n").strip().split("\n")
    settings = parse_settings(last)
    if not (last.startswith("Steps:") or len(settings) >= 3):
        lines.append(last)
        settings = {}
    joined = "\n".join(lines)
    prompt, negative_mark, negative = joined.partition(f"\n{_NEGATIVE}")
    if joined.startswith(_NEGATIVE):
        prompt, negative_mark, negative = "", _NEGATIVE, joined.removeprefix(_NEGATIVE)
    return prompt.strip(), negative.strip() if negative_mark else "", settings


def parse_settings(line: str) -> dict[str, str]:
    """Parse ``Key: value, Key: "quoted, value"`` in one pass; what is no pair is passed over."""
    found: dict[str, str] = {}
    pos = 0
    while pos < len(line) and len(found) < _MAX_PAIRS:
        colon = line.find(":", pos)
        if colon < 0:
            break
        key = line[pos:colon].rpartition(",")[2].strip()
        value, pos = _value(line, colon + 1)
        if _KEY.match(key):
            found.setdefault(key, value)
    return found


def _value(line: str, start: int) -> tuple[str, int]:
    while start < len(line) and line[start] == " ":
        start += 1
    if line[start : start + 1] == '"' and (end := _closing_quote(line, start)) > 0:
        comma = line.find(",", end)
        try:
            value = json.loads(line[start : end + 1])
        except ValueError:
            value = line[start + 1 : end]
        return str(value), len(line) if comma < 0 else comma + 1
    comma = line.find(",", start)
    stop = len(line) if comma < 0 else comma
    return line[start:stop].strip(), stop + 1


def _closing_quote(line: str, start: int) -> int:
    pos = start + 1
    while pos < len(line) and line[pos] != '"':
        pos += 2 if line[pos] == "\\" else 1
    return pos if pos < len(line) else -1
