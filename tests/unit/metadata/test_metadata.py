"""Metadata says what made a picture, in the file and beside it, and never what is nobody's business."""

import contextlib
import hashlib
import io
import json
import tracemalloc
import zlib
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from tests.fakes.pictures import behind_header, chunk, encoded, png_with_texts
from wan_notebook.errors import RecipeError
from wan_notebook.metadata import (
    ForeignMetadata,
    Metadata,
    can_embed,
    changed_in,
    embed,
    exif_block,
    read_any,
    read_metadata,
    read_sidecar,
    strip,
)

PNG = encoded(Image.radial_gradient("L").convert("RGB"))
HASH = "ab" * 32
BARE = Metadata(model="wan2.6-image", provider="simulator", mode="text to image", prompt="fox")
FROZEN = (  # what the first edition wrote: files with it exist and are read for ever
    '{"schema":"wan-notebook/recipe","version":1,"model":"wan2.6-image","provider":"gateway","mode":"edit",'
    '"prompt":"a fox in snow, 雪中的狐狸 🦊\\nat dawn","negative_prompt":"text, watermark","job_id":"a3f9",'
    '"task_id":"task-1","parameters":{"size":"1280*720","n":2,"seed":5,"prompt_extend":true,"watermark":false},'
    f'"picture":{{"index":1,"count":2,"sha256":"{HASH}","width_px":1280,"height_px":720}},"seeds":[5,6],'
    f'"inputs":[{{"name":"photo","identity":"bytes:sha256:{HASH}","sha256":"{HASH}","width_px":512,"height_px":512}}],'
    '"times":{"accepted":"2026-11-24T14:32:00+00:00"},'
    '"cost":{"amount":"0.03","currency":"USD","source":"reported","note":""},'
    f'"fingerprints":{{"asked":"wan1:sha256:{HASH}"}},"versions":{{"wan-notebook":"1","pillow":"13.0.0"}}}}'
)
METADATA = read_sidecar(FROZEN)


def parameters_of(metadata: Metadata) -> str:
    """The text for other programs that stands in a picture."""
    with Image.open(io.BytesIO(embed(PNG, metadata))) as picture:
        return str(picture.info["parameters"])


def changed(**changes: object) -> str:
    """The JSON with other values in it."""
    return json.dumps({**json.loads(FROZEN), **changes})


def test_the_form_on_disk_never_changes() -> None:
    """The JSON is that of the first edition, which is read for ever, and so is its place in the file."""
    assert METADATA.to_json() == FROZEN
    block = chunk(b"iTXt", b"wan_notebook\0\0\0\0\0" + FROZEN.encode())
    block += chunk(b"iTXt", b"parameters\0\0\0\0\0" + parameters_of(METADATA).encode())
    assert embed(PNG, METADATA) == PNG[:33] + block + PNG[33:]
    assert read_sidecar(METADATA.to_json(indent=2)) == read_sidecar("\ufeff" + FROZEN) == METADATA


def test_a_further_parameter_is_kept() -> None:
    """What a later edition writes is kept if it is plain; anything else is left out, and the picture stays readable."""
    assert read_sidecar(changed(later=[1])) == METADATA
    later = FROZEN.replace('"n":2,', '"n":2,"style":"ink","strength":0.5,"mask":[1],')
    read = read_sidecar(later).parameters.model_dump(exclude_none=True)
    assert read == {**METADATA.parameters.model_dump(exclude_none=True), "style": "ink", "strength": 0.5}


@given(prompt=st.text(max_size=30), amount=st.none() | st.decimals(0, 1000, places=6))
def test_what_is_written_is_read(prompt: str, amount: Decimal | None) -> None:
    """Inside the picture and beside it stands the same, whatever the prompt's characters; no pixel changes."""
    cost = {"amount": None if amount is None else f"{amount:f}", "currency": "CNY", "note": prompt}
    fields = {"prompt": prompt, "negative_prompt": prompt[::-1], "cost": cost}
    metadata = Metadata.model_validate({**METADATA.model_dump(), **fields})
    inside = embed(PNG, metadata)
    assert read_metadata(inside) == read_sidecar(metadata.to_json()) == metadata
    assert strip(inside) == PNG
    assert Image.open(io.BytesIO(inside)).convert("RGB").tobytes() == Image.open(io.BytesIO(PNG)).tobytes()


def test_the_service_s_bytes_can_be_had_back() -> None:
    """Only our own two chunks are taken out, also of a picture that came with texts, or with metadata of ours."""
    info = PngInfo()
    info.add_text("parameters", "theirs")
    for came in (PNG, encoded(pnginfo=info), embed(PNG, BARE), behind_header(chunk(b"tEXt", b"parameters\0x"))):
        inside = embed(came, METADATA)
        assert strip(inside) == came
        assert read_metadata(inside) == METADATA
    assert strip(PNG) is PNG
    ours = chunk(b"iTXt", b"wan_notebook\0\0\0\0\0" + FROZEN.encode())
    rest = chunk(b"gAMA", b"\0\0\xb1\x8f") + chunk(b"tEXt", b"parameters\0theirs")
    assert strip(behind_header(ours, rest)) == behind_header(rest)  # another program dropped our second chunk


def sha256(data: bytes) -> str:
    """A hash in hex."""
    return hashlib.sha256(data).hexdigest()


def test_a_saved_file_is_compared_in_its_two_parts() -> None:
    """The picture as it came, and what the file says of itself: either one, changed, added or lost, is told."""
    inside, other = embed(PNG, METADATA), embed(PNG, BARE)
    pixel = inside[:-20] + bytes([inside[-20] ^ 1]) + inside[-19:]
    block = inside[33 : len(inside) - len(PNG) + 33]
    for recorded in ({"file_sha256": sha256(inside)}, {"metadata_sha256": sha256(block)}):
        recorded["sha256"] = sha256(PNG)
        assert changed_in(inside, **recorded) == ""
        assert changed_in(other, **recorded) == changed_in(PNG, **recorded) == "metadata"
        assert changed_in(pixel, **recorded) == changed_in(b"", **recorded) == "picture"
    assert changed_in(b"RIFF", sha256=sha256(b"RIFF")) == ""  # written as it came
    assert changed_in(inside, sha256=sha256(PNG)) == "metadata"


def test_only_png_takes_metadata_inside() -> None:
    """Other formats and damaged files are saved as they are; their metadata is the sidecar."""
    for data in (encoded(kind="JPEG"), encoded(kind="WEBP"), b"", b"\x89PNG\r\n\x1a\n", PNG[:20], b"text"):
        assert not can_embed(data)
        assert embed(data, METADATA) is data
        assert strip(data) is data
        assert read_metadata(data) is None
    assert can_embed(PNG)


@pytest.mark.parametrize("kind", ["JPEG", "WEBP", "AVIF"])
def test_a_converted_picture_takes_its_metadata_along(kind: str) -> None:
    """A new JPEG, WebP or AVIF carries it as Exif; what is too long for a block is left out."""
    assert read_metadata(encoded(kind=kind, exif=exif_block(METADATA))) == METADATA
    assert exif_block(METADATA.model_copy(update={"prompt": "x" * 70_000})) == b""
    first_edition = b"Exif\0\0MM\0*" + (8).to_bytes(4) + b"\0\1\x87\x69\0\4\0\0\0\1" + (26).to_bytes(4) + bytes(4)
    note = b"wan_notebook\0" + FROZEN.encode()
    first_edition += b"\0\1\x92\x7c\0\7" + len(note).to_bytes(4) + (44).to_bytes(4) + bytes(4) + note
    assert read_metadata(encoded(kind=kind, exif=first_edition)) == METADATA


def test_other_programs_read_what_is_inside() -> None:
    """Both texts stand before the pixels, in valid UTF-8; the settings line holds no invention."""
    assert b"tEXtparameters\0fox\n" in embed(PNG, BARE)
    assert parameters_of(METADATA.model_copy(update={"model": "wan"})).split("\n") == [
        "a fox in snow, 雪中的狐狸 🦊",
        "at dawn",
        "Negative prompt: text, watermark",
        "Steps: 0, Seed: 5, Size: 1280x720, Model: wan, Prompt rewriting: on, Mode: edit, Version: wan_notebook 1",
    ]
    assert parameters_of(BARE) == "fox\nSteps: 0, Model: wan2.6-image, Mode: text to image, Version: wan_notebook"


def test_our_own_line_without_our_block_is_still_of_use() -> None:
    """A picture that went through a program which keeps only ``parameters`` gives prompt, seed and size."""
    metadata = METADATA.model_copy(update={"model": 'a, "b": c'})
    found = read_any(embed(PNG, metadata).replace(b"wan_notebook\0", b"xan_notebook\0"))
    assert isinstance(found, ForeignMetadata)
    assert (found.prompt, found.negative_prompt) == (METADATA.prompt, METADATA.negative_prompt)
    assert (found.seed, found.width_px, found.height_px) == (5, 1280, 720)
    assert found.notes[0].startswith('model = a, "b": c (Wan 2.6 takes its place)')


@pytest.mark.parametrize(
    ("name", "public"),
    [
        ("photo", "photo"),
        ("/home/jane/secret/cat.png", "cat.png"),
        ("C:\\Users\\jane\\cat.png", "cat.png"),
        ("/home/jane (work)/it's/cat.png", "cat.png"),
        ("https://u:pw@host.example/a/cat.png?Signature=s3cret&Expires=1", "cat.png"),
        ("https://host.example/a%2Fsecret%2Fcat%20one.png#x", "cat one.png"),
        ('Image.open("/home/jane/cat.png").rotate(90)', 'Image.open("cat.png").rotate(90)'),
        ("open('https://h.example/secret/a.png?Sig=s3cret')", "open('a.png')"),
        ('open(Path("/home/jane") / "cat.png")', '"cat.png")'),
        ("a\x1b[31m\nb", "a [31m b"),
    ],
)
def test_an_input_s_name_shows_no_place(name: str, public: str) -> None:
    """A path or address in a name is reduced to its last part, also inside an expression, on one safe line."""
    given = json.loads(FROZEN)["inputs"][0]
    for typed in (name, public):
        assert read_sidecar(changed(inputs=[{**given, "name": typed}])).inputs[0].name == public


def test_no_key_no_signed_url_no_local_path() -> None:
    """What a careless caller puts into other fields does not get out either."""
    fields = {"provider": "https://proxy.internal/x?token=s3cret", "task_id": "/home/jane/s3cret/task"}
    fields |= {"cost": {"note": "https://bill.example/jane/bill?sig=s3cret"}}
    leaky = Metadata.model_validate({**BARE.model_dump(), **fields, "versions": {"python": "/home/jane/bin/python"}})
    for text in (leaky.to_json(), embed(PNG, leaky).decode("latin-1")):
        assert [secret for secret in ("s3cret", "jane", "://", "/home") if secret in text] == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (changed(version=2), "another version than 1.*pip install -U"),
        (changed(schema="other"), "not metadata of wan_notebook"),
        (changed(prompt=None), "prompt: Input should be a valid string"),
        (changed(seeds=[10**40]), "seeds.0: "),
        (changed(parameters={"n": True}), "parameters.n: "),
        (changed(parameters={"size": "f()"}), "parameters.size: "),
        (changed(inputs=[{}]), "inputs.0.name: Field required"),
        (changed(inputs=[{**json.loads(FROZEN)["inputs"][0], "sha256": "*"}]), "inputs.0.sha256: String should match"),
        (changed(cost={"amount": "1E999999999"}), "cost.amount: "),
        (changed(prompt="\x1b[31m\nx", seeds={"\x1b]0;x\x07\n": 1}), "seeds: "),
        *((text, "damaged|not metadata") for text in ("", "{", "[]", "null", "NaN", "[" * 100_000, "1" * 5000)),
        ('"' + "x" * 3_000_000 + '"', "damaged"),
    ],
    ids=lambda value: value[-40:] if isinstance(value, str) else None,
)
def test_damaged_metadata_is_one_line_that_names_the_field(text: str, message: str) -> None:
    """Metadata of another kind, a newer version or with a wrong field is refused whole, on one safe line."""
    with pytest.raises(RecipeError, match=message) as caught:
        read_sidecar(text)
    assert caught.value.message.isprintable()
    if text.startswith("{") and len(text) > 10:
        with pytest.raises(RecipeError):
            read_any(png_with_texts(wan_notebook=text))


@pytest.mark.parametrize("kind", [b"zTXt", b"iTXt"])
def test_packed_metadata_is_read_and_bombs_are_not(kind: bytes) -> None:
    """A compressed text is unpacked to two million characters at most: a bomb costs no memory."""
    head = b"wan_notebook\0" + (b"\0" if kind == b"zTXt" else b"\1\0\0\0")
    packed = zlib.compress(FROZEN.encode())
    assert read_metadata(behind_header(chunk(kind, head + packed))) == METADATA
    for broken in (zlib.compress(b"\0" * 30_000_000), packed[:-8], b"x"):
        assert read_metadata(behind_header(chunk(kind, head + broken))) is None
    bomb = zlib.compress(b"x" * 999_999)
    many = behind_header(*(chunk(kind, b"%d" % at + head[12:] + bomb) for at in range(100)))
    tracemalloc.start()
    assert read_any(many) is None
    assert tracemalloc.get_traced_memory()[1] < 20e6, "many small ones are a large one"
    tracemalloc.stop()


FRAGMENTS = (b"IHDR", b"tEXt", b"iTXt", b"zTXt", b"wan_notebook\0", b"parameters\0", b"prompt\0")
STARTS = (b"", PNG[:33], b"\xff\xd8\xff\xe1\x00\x40Exif\0\0II*\0\x08\0\0\0", b"RIFF\0\1\0\0WEBPEXIF")


@given(pieces=st.lists(st.sampled_from(FRAGMENTS) | st.binary(max_size=12), max_size=12), start=st.sampled_from(STARTS))
def test_arbitrary_bytes_never_crash_a_reader(pieces: list[bytes], start: bytes) -> None:
    """Any bytes give metadata, nothing, or RecipeError; and stripping is the exact inverse of embedding."""
    data = start + b"".join(pieces)
    with contextlib.suppress(RecipeError):
        read_any(data)
    assert strip(embed(data, BARE)) == data
