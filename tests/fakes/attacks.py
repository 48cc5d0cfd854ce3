"""Hostile replies, texts, addresses, bundles and ledgers: what a dishonest service, picture or folder may hold."""

import base64
import gzip
import hashlib
import json
import re
import urllib.parse
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from tests.fakes.faults import Reply

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
    yield "first half", key[: len(key) // 2]
    yield "second half", key[len(key) // 2 :]
    yield "apart", "/".join(key)
    yield "partly percent", "".join(f"%{ord(char):02X}" if at % 2 else char for at, char in enumerate(key))
    yield "escapes", "".join(f"\\x{byte:02x}" for byte in key.encode())
    yield "octal", "".join(f"\\{byte:03o}" for byte in key.encode())
    yield "code points", " ".join(f"U+{byte:04X}" for byte in key.encode())
    yield "entities", "".join(f"&#{byte};" for byte in key.encode())
    yield "numbers", str(list(key.encode()))
    yield "reversed", key[::-1]
    yield "base32", base64.b32encode(f"by {key}".encode()).decode()
    yield "percent twice", "".join(f"%25{byte:02x}" for byte in key.encode())
    yield "base64 in lines", "\r\n".join(re.findall(".{1,10}", base64.b64encode(key.encode()).decode()))


def nested_gzip(size_bytes: int = 64 * 2**20, layers: int = 3, content_type: str = "application/json") -> Reply:
    """Return a body of a few hundred bytes that unpacks to `size_bytes` through several layers."""
    body = b'{"id": "' + b"a" * size_bytes + b'"}'
    for _ in range(layers):
        body = gzip.compress(body)
    encoding = ", ".join(["gzip"] * layers)
    return Reply(headers=[("content-type", content_type), ("content-encoding", encoding)], body=body)


CRATE = "ro-crate-metadata.json"
LIFTS_BUDGETS = "CREATE TRIGGER t AFTER INSERT ON jobs BEGIN UPDATE jobs SET imported_at = 1; END"
"""Imported jobs count towards no budget: with this in its ledger, a folder would have none."""

Change = Callable[[dict[str, bytes]], None]


def rewritten(archive: Path, target: Path, change: Change) -> Path:
    """Return a copy of a bundle whose files were changed, with sizes and hashes that agree again."""
    with zipfile.ZipFile(archive) as given:
        files = {info.filename: given.read(info) for info in given.infolist()}
    change(files)
    crate = json.loads(files[CRATE])
    for item in crate["@graph"]:
        if (name := item.get("@id")) in files and "sha256" in item:
            item |= {"sha256": hashlib.sha256(files[name]).hexdigest(), "contentSize": str(len(files[name]))}
    files[CRATE] = json.dumps(crate).encode()
    with zipfile.ZipFile(target, "w") as made:
        for name, data in files.items():
            made.writestr(name, data)
    return target


def in_ledger(part: str = "job", **columns: Any) -> Change:
    """Return a change of the first job's columns, or of those of its first picture."""

    def change(files: dict[str, bytes]) -> None:
        first, *rest = files["ledger.jsonl"].splitlines()
        row = json.loads(first)
        (row["job"] if part == "job" else row[part][0]).update(columns)
        files["ledger.jsonl"] = b"\n".join([json.dumps(row).encode(), *rest])

    return change


def other_picture(files: dict[str, bytes]) -> None:
    """Put another picture in the place of the one that the job made."""
    name = next(name for name in files if name.endswith(".png"))
    files[name] = files[name][:-20] + bytes(20)


def renamed(name: str) -> Change:
    """Return a change of the notebook's name."""

    def change(files: dict[str, bytes]) -> None:
        files[name] = files.pop("study.ipynb")
        files[CRATE] = files[CRATE].replace(b"study.ipynb", name.encode())

    return change
