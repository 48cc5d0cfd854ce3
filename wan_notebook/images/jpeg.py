"""JPEG files, segment by segment: checked to the end, stripped without touching a coefficient."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final, NamedTuple

from wan_notebook.images.facts import Container, PictureFacts, corrupt, truncated

_SOI, _EOI, _SOS, _COM = 0xD8, 0xD9, 0xDA, 0xFE
_APP0, _APP1, _APP2, _APP14, _APP15 = 0xE0, 0xE1, 0xE2, 0xEE, 0xEF
_FRAMES: Final = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_COMMON_FRAMES: Final = frozenset({0xC0, 0xC1, 0xC2})  # baseline, extended, progressive: what everybody can read
_NEXT_MARKER: Final = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")  # in a scan, FF is data before 00 and D0–D7
_ICC: Final = b"ICC_PROFILE\0"


class Segment(NamedTuple):
    """One marker with its content; a scan's segment takes in the coded data that follow it."""

    marker: int
    start: int
    body: int
    end: int


def segments(data: bytes) -> Iterator[Segment]:
    """Walk from SOI to EOI, and raise for a file that ends before; what follows EOI is not looked at."""
    yield Segment(_SOI, 0, 2, 2)
    pos = 2
    while True:
        segment = _segment_at(data, pos)
        yield segment
        if segment.marker == _EOI:
            return
        pos = segment.end


def _segment_at(data: bytes, start: int) -> Segment:
    pos = start
    while data[pos : pos + 2] == b"\xff\xff":  # fill bytes
        pos += 1
    if pos + 2 > len(data):
        raise truncated("its end marker is missing")
    marker = data[pos + 1]
    if data[pos] != 0xFF or marker == 0:
        raise corrupt(f"there is no marker at byte {pos}")
    if marker == _EOI:
        return Segment(marker, start, pos + 2, pos + 2)
    body = pos + 4
    if body > len(data):
        raise truncated("its end marker is missing")
    end = pos + 2 + int.from_bytes(data[pos + 2 : body])
    if end < body:
        raise corrupt(f"its segment at byte {start} has an impossible length")
    if marker == _SOS:
        found = _NEXT_MARKER.search(data, end)
        end = found.start() if found else len(data)
    return Segment(marker, start, body, end)


def header(data: bytes) -> PictureFacts:
    """Read the size from the first frame header."""
    for segment in segments(data):
        if segment.marker in _FRAMES:
            return _frame(data, segment)
        if segment.marker in (_SOS, _EOI):
            break
    raise corrupt("it holds no frame")


def _frame(data: bytes, segment: Segment) -> PictureFacts:
    if segment.end > len(data) or segment.end - segment.body < 6:
        raise truncated("its frame header is incomplete")
    body = segment.body
    height, width = int.from_bytes(data[body + 1 : body + 3]), int.from_bytes(data[body + 3 : body + 5])
    if not (width and height):
        raise corrupt(f"its size is {width}×{height}")
    return PictureFacts("image/jpeg", width, height)


def inspect(data: bytes) -> Container:
    """Check a whole JPEG and find what in it is metadata."""
    found = list(segments(data))
    frames = [s for s in found if s.marker in _FRAMES]
    if not frames or not any(s.marker == _SOS for s in found):
        raise corrupt("it holds no pixels")
    frame = frames[0]
    facts = _frame(data, frame)
    precision, components = data[frame.body], data[frame.body + 5]
    return Container(
        source=data,
        mime=facts.mime,
        width_px=facts.width_px,
        height_px=facts.height_px,
        plain=frame.marker in _COMMON_FRAMES and precision == 8 and components == 3,
        pieces=tuple(piece for s in found if (piece := _without_metadata(data, s)) is not None),
        icc=_icc_profile(data, found),
        may_be_turned=any(s.marker == _APP1 for s in found),
    )


def _without_metadata(data: bytes, segment: Segment) -> tuple[int, int] | bytes | None:
    """Return what of a segment is picture: JFIF without its thumbnail, Adobe's colour transform, no other APPn."""
    marker, start, body, end = segment
    if marker == _APP0 and data.startswith(b"JFIF\0", body) and end - body >= 14:
        bare = end - body == 14 and data[body + 12 : end] == b"\0\0"
        return (start, end) if bare else b"\xff\xe0\x00\x10" + data[body : body + 12] + b"\0\0"
    if marker == _APP14 and data.startswith(b"Adobe", body) and end - body >= 12:
        return (start, end) if end - body == 12 else b"\xff\xee\x00\x0e" + data[body : body + 12]
    if _APP0 <= marker <= _APP15 or marker == _COM:
        return None
    return (start, end)


def _icc_profile(data: bytes, found: list[Segment]) -> bytes:
    parts = [
        (data[s.body + len(_ICC)], data[s.body + len(_ICC) + 2 : s.end])
        for s in found
        if s.marker == _APP2 and data.startswith(_ICC, s.body) and s.end - s.body > len(_ICC) + 2
    ]
    return b"".join(content for _, content in sorted(parts, key=lambda part: part[0]))
