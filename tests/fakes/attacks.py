"""Hostile replies, texts and addresses: what a dishonest service, proxy or picture may send.

    faults.answer("poll", attacks.nested_gzip(), times=float("inf"))

Each reply is a `Reply` for `Faults.answer`; the texts and addresses are for fields, file names and settings.
"""

import base64
import gzip
import json
import urllib.parse
from collections.abc import Iterator

from tests.fakes.faults import Reply, png_bomb

HOSTILE_TEXTS = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "javascript:alert(1)",
    "{{ 7 * 7 }} ${7*7} {0.__class__}",
    "$x$ and \\(y\\) and $$z$$",
    "=HYPERLINK(1)",
    "+1+1",
    "-2+3",
    "@SUM(1)",
    "'; DROP TABLE jobs; --",
    "\x1b[31mred\x1b]0;title\x07",
    "two\nlines\r\nand\ttabs",
    "\u202egnp.exe",
    "half a pair \ud83e and a NUL \x00",
    "../../etc/passwd",
    "<!-- \u2028\u2029 -->",
    "a" * 100_000,
)
"""Markup, templates, formulas, SQL, terminal sequences, line breaks, paths, and sheer length."""

PRIVATE_ADDRESSES = (
    *("127.0.0.1", "127.1", "0.0.0.0", "2130706433", "0x7f.1", "0177.0.0.1", "localhost"),  # noqa: S104
    *("10.0.0.1", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "[fe80::1]", "[fc00::1]"),
    *("[::1]", "[::]", "[::127.0.0.1]", "[::ffff:127.0.0.1]", "[64:ff9b::7f00:1]", "[2002:7f00:1::]"),
)
"""Spellings of hosts on this machine or in a private network."""

NOT_AMOUNTS = ("٣", "１２", "1_000", "-0", "-1", "NaN", "Infinity", "1e999999", "0x10", "9" * 400, "", " ")
"""Texts that must not be read as an amount of money."""


def echoes(key: str) -> Iterator[tuple[str, str]]:
    """Yield the forms in which a service may repeat a key, each with its name."""
    yield "plain", key
    yield "base64", base64.b64encode(key.encode()).decode()
    yield "hex", key.encode().hex()
    yield "percent", "".join(f"%{byte:02x}" for byte in key.encode())
    yield "quoted", urllib.parse.quote(f"Bearer {key}")
    yield "split", f"{key[: len(key) // 2]} {key[len(key) // 2 :]}"


def nested_gzip(size_bytes: int = 64 * 2**20, layers: int = 3, content_type: str = "application/json") -> Reply:
    """Return a body of a few hundred bytes that unpacks to `size_bytes` through several layers."""
    body = b'{"id": "' + b"a" * size_bytes + b'"}'
    for _ in range(layers):
        body = gzip.compress(body)
    encoding = ", ".join(["gzip"] * layers)
    return Reply(headers=[("content-type", content_type), ("content-encoding", encoding)], body=body)


def deep_json(depth: int = 100_000) -> Reply:
    """Return JSON that is nested more deeply than a parser can follow."""
    return Reply(headers=[("content-type", "application/json")], body=b"[" * depth + b"]" * depth)


def huge_json(size_bytes: int = 16 * 2**20) -> Reply:
    """Return a valid task in so many bytes."""
    return Reply.json({"id": "task", "status": "in_progress", "padding": "x" * size_bytes})


def odd_json() -> Reply:
    """Return JSON with numbers, keys and texts that many parsers take and few databases store."""
    body = b'{"id": "t", "status": "in_progress", "progress": 1e999, "created_at": 1e308, "model": "\\ud800\\u0000", '
    body += b'"metadata": {"x": NaN}}'
    return Reply(headers=[("content-type", "application/json")], body=body)


def hostile_error(text: str, status: int = 400) -> Reply:
    """Return an error whose code, message and request id are a hostile text."""
    body = json.dumps({"code": text, "message": text, "request_id": text, "error": {"code": text, "message": text}})
    return Reply(status=status, headers=[("content-type", "application/json")], body=body.encode())


def completed_with(url: str) -> Reply:
    """Return a gateway task that is completed with a picture at some address."""
    output = [{"content": [{"type": "image", "url": url, "jobId": "remote"}]}]
    return Reply.json({"id": "task", "status": "completed", "output": output, "usage": {"cost": "0.03", "discount": 1}})


def redirect(url: str, status: int = 302) -> Reply:
    """Return a redirect to some address."""
    return Reply(status=status, headers=[("location", url)])


def large_headers(size_bytes: int = 60_000) -> Reply:
    """Return a reply whose headers are larger than its body."""
    return Reply(headers=[("x-filler", "x" * size_bytes), ("content-type", "application/json")], body=b"{}")


def drip(body: bytes = b" " * 512) -> Reply:
    """Return a body that comes byte by byte, so that no read ever times out."""
    return Reply(headers=[("content-type", "application/json")], body=body, pieces=len(body))


def pictures_that_are_none() -> Iterator[tuple[str, Reply]]:
    """Yield replies to a download that are not the picture, each with its name."""
    png = [("content-type", "image/png")]
    yield "bomb", Reply(headers=png, body=png_bomb())
    yield "svg with a script", Reply(headers=[("content-type", "image/svg+xml")], body=b"<svg onload='alert(1)'/>")
    yield "HTML called a PNG", Reply(headers=png, body=b"<html><script>alert(1)</script></html>")
    yield "PNG signature alone", Reply(headers=png, body=b"\x89PNG\r\n\x1a\n")
    yield "endless", Reply(headers=png, body=b"\x89PNG\r\n\x1a\n", promised_bytes=-1, endless_bytes=96 * 2**20)
    yield "packed", nested_gzip(content_type="image/png")
