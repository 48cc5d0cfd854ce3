"""The ``parameters`` text that A1111, Civitai and InvokeAI read: prompt, negative prompt, one line of settings."""

import itertools
import json
import re
from typing import Final

from .model import Metadata

# One character in front at most: a longer run would be tried at each of its characters.
_STEPS: Final = re.compile(r"(?:\A|[\n \t])(?=Steps: ?\d)")
_NEGATIVE: Final = re.compile(r"(?:\A|[\n \t])Negative prompt:")
_PAIR: Final = re.compile(r'(\w[\w \-/]{0,58}):\s*("(?:\\.|[^\\"])+"|[^,]*)(?:,|\Z)', re.DOTALL)
_MAX_PAIRS: Final = 200
_MAX_STARTS: Final = 20
_INLINE_PAIRS: Final = 3  # so many settings make it sure that a line holds more than a prompt


def write_parameters(metadata: Metadata) -> str:
    """Write what is true of this picture.

    ``Steps`` is 0, which readers take as "not stated": Civitai knows the settings line only by its beginning with
    ``Steps: `` and a number, and the service does not tell the number of steps.
    """
    sent, picture = metadata.parameters, metadata.picture
    pairs: dict[str, object] = {"Steps": 0}
    if sent.seed is not None:
        pairs["Seed"] = sent.seed
    if picture.width_px and picture.height_px:
        pairs["Size"] = f"{picture.width_px}x{picture.height_px}"
    pairs["Model"] = metadata.model
    if sent.prompt_extend is not None:
        pairs["Prompt rewriting"] = "on" if sent.prompt_extend else "off"
    pairs |= {"Mode": metadata.mode, "Version": f"wan_notebook {metadata.versions.get('wan-notebook', '')}".strip()}
    lines = [metadata.prompt]
    if metadata.negative_prompt:
        lines.append(f"Negative prompt: {metadata.negative_prompt}")
    return "\n".join([*lines, ", ".join(f"{key}: {_quoted(str(value))}" for key, value in pairs.items())])


def _quoted(value: str) -> str:
    return json.dumps(value, ensure_ascii=False) if re.search(r'[,:"\n]', value) or not value else value


def split_parameters(text: str) -> tuple[str, str, dict[str, str]]:
    """Split into prompt, negative prompt and settings; any text at all is a prompt.

    The settings begin with ``Steps:``, or are a last line of three pairs or more. Each part may stand on a line of its
    own, or all may stand in one, as some programs write it.
    """
    text = text.replace("\r\n", "\n").strip()
    before, _, last = text.rpartition("\n")
    head, settings = (before, _settings(last)) if len(_settings(last)) >= _INLINE_PAIRS else (text, {})
    for match in reversed(list(_STEPS.finditer(text))[-_MAX_STARTS:]):
        found = _settings(text[match.end() :])
        if match[0] in ("", "\n") or len(found) >= _INLINE_PAIRS:
            head, settings = _before(text, match), found
            break
    negative = _NEGATIVE.search(head)
    if negative is None:
        return head.strip(), "", settings
    return _before(head, negative), head[negative.end() :].strip(), settings


def _before(text: str, match: re.Match[str]) -> str:
    """Return what stands before a part, without the comma or full stop that sets it off within a line."""
    head = text[: match.start()].strip()
    return head if match[0][:1] in ("", "\n") else head.rstrip(",.;")


def _settings(text: str) -> dict[str, str]:
    """Read ``Key: value, Key: "quoted, value"``; what is not a pair is passed over, and the first of a name counts."""
    found: dict[str, str] = {}
    for match in itertools.islice(_PAIR.finditer(text), _MAX_PAIRS):
        value = match[2].strip()
        if value[:1] == '"':
            try:
                value = str(json.loads(value, strict=False))
            except ValueError:
                value = value.strip('"')
        found.setdefault(match[1].strip(), value)
    return found
