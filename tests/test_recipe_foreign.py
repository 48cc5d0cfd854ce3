"""Other programs' pictures give what they can and say what they cannot; hostile files cost nothing."""

from __future__ import annotations

import contextlib
import io
import json
import time
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from wan_notebook.errors import RecipeError
from wan_notebook.recipe import (
    Recipe,
    embed,
    from_parameters,
    read_any,
    read_foreign,
    read_recipe,
    read_sidecar,
    recipe_from_dict,
    strip,
)

A1111 = (
    "a castle, <lora:detail:0.8> (sunset:1.3)\nby the sea\n"
    "Negative prompt: blurry,\nlow quality\n"
    "Steps: 20, Sampler: DPM++ 2M Karras, CFG scale: 7, Seed: 965400086, Size: 1024x768, Model hash: 45dee52b, "
    'Model: dreamer, Lora hashes: "detail: 12ab, b: 34cd", Version: v1.9'
)
INVOKE = {
    "app_version": "5.1.0",
    "positive_prompt": "a castle",
    "negative_prompt": "fog",
    "width": 512,
    "height": 512,
    "seed": 4294967295,
    "steps": 30,
    "cfg_scale": 7.5,
    "scheduler": "euler",
    "loras": [],
    "model": {"key": "k", "name": "juggernaut", "base": "sdxl"},
}
COMFY = {
    "3": {
        "class_type": "KSampler",
        "inputs": {
            "seed": 7,
            "steps": 20,
            "cfg": 8.0,
            "model": ["4", 0],
            "positive": ["10", 0],
            "negative": ["7", 0],
            "latent_image": ["5", 0],
        },
    },
    "4": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "sd.safetensors"}},
    "5": {"class_type": "EmptyLatentImage", "inputs": {"width": 1024, "height": 1024, "batch_size": 1}},
    "6": {"class_type": "CLIPTextEncode", "inputs": {"text": "a castle", "clip": ["4", 1]}},
    "7": {"class_type": "CLIPTextEncode", "inputs": {"text": "fog", "clip": ["4", 1]}},
    "10": {"class_type": "FluxGuidance", "inputs": {"conditioning": ["6", 0], "guidance": 3.5}},
}


def png(**texts: str) -> bytes:
    """A picture with texts in it."""
    info = PngInfo()
    for keyword, text in texts.items():
        info.add_itxt(keyword, text)
    buffer = io.BytesIO()
    Image.new("RGB", (8, 8)).save(buffer, "PNG", pnginfo=info)
    return buffer.getvalue()


def chunk(kind: bytes, content: bytes) -> bytes:
    """One PNG chunk."""
    return len(content).to_bytes(4) + kind + content + zlib.crc32(kind + content).to_bytes(4)


def behind_header(*chunks: bytes) -> bytes:
    """A picture with raw chunks behind IHDR."""
    data = png()
    return data[:33] + b"".join(chunks) + data[33:]


def test_a1111_gives_prompt_seed_and_size() -> None:
    """The three things that Wan understands are carried over, everything else is listed."""
    found = read_foreign(png(parameters=A1111))
    assert found is not None
    assert found.dialect == "A1111"
    assert found.prompt == "a castle, (sunset:1.3)\nby the sea"
    assert found.negative_prompt == "blurry,\nlow quality"
    assert (found.seed, found.size, found.model) == (965400086, "1024x768", "dreamer")
    listed = " | ".join(found.not_carried)
    for what in ("<lora:detail:0.8>", "Steps = 20", "Sampler = DPM++ 2M Karras", "CFG scale = 7", "model = dreamer"):
        assert what in listed
    assert "Lora hashes = detail: 12ab, b: 34cd" in listed


@pytest.mark.parametrize("order", ["utf-16-be", "utf-16-le"])
@pytest.mark.parametrize("kind", ["JPEG", "WEBP"])
def test_a1111_keeps_its_text_in_the_exif_of_jpegs(kind: str, order: str) -> None:
    """JPEG and WebP carry the same text in Exif's UserComment, in either byte order."""
    exif = Image.Exif()
    exif.get_ifd(0x8769)[0x9286] = b"UNICODE\0" + (A1111 + " 雪").encode(order)
    buffer = io.BytesIO()
    Image.new("RGB", (8, 8)).save(buffer, kind, exif=exif)
    found = read_foreign(buffer.getvalue())
    assert found is not None
    assert (found.seed, found.size) == (965400086, "1024x768")
    plain = io.BytesIO()
    exif.get_ifd(0x8769)[0x9286] = b"ASCII\0\0\0taken in Paris"
    Image.new("RGB", (8, 8)).save(plain, kind, exif=exif)
    assert read_foreign(plain.getvalue()) is None


def test_invokeai_gives_what_it_can() -> None:
    """A seed and a size that Wan does not take are listed, not bent."""
    found = read_foreign(png(invokeai_metadata=json.dumps(INVOKE)))
    assert found is not None
    assert (found.dialect, found.prompt, found.negative_prompt) == ("InvokeAI", "a castle", "fog")
    assert (found.seed, found.size, found.model) == (None, None, "juggernaut")
    listed = " | ".join(found.not_carried)
    assert "seed = 4294967295 (Wan 2.6 takes 0 to 2147483647)" in listed
    assert "size = 512x512" in listed
    assert "steps = 30" in listed
    assert "loras" not in listed


def test_invoke_before_version_3() -> None:
    """Its older pictures have weighted prompts, and in square brackets what to avoid; the rest is named."""
    size = {"width": 1024, "height": 768}
    image = {"prompt": [{"prompt": "old castle [fog, people]", "weight": 1.0}], "seed": 99, **size}
    old = {"model": "stable diffusion", "app_version": "2.3", "image": {**image, "sampler": "k_lms"}}
    found = read_foreign(png(**{"sd-metadata": json.dumps(old)}))
    assert found is not None
    assert (found.prompt, found.negative_prompt) == ("old castle", "fog, people")
    assert (found.seed, found.size) == (99, "1024x768")
    assert "sampler = k_lms" in found.not_carried
    for broken in ([], {"image": 5}, {"image": {"prompt": 5}}, {"image": {"prompt": [5, {"prompt": 6}]}}):
        read_foreign(png(**{"sd-metadata": json.dumps(broken)}))


def test_comfyui_is_followed_from_the_sampler() -> None:
    """The graph's links lead to the texts, the seed and the size."""
    found = read_foreign(png(prompt=json.dumps(COMFY)))
    assert found is not None
    assert (found.dialect, found.prompt, found.negative_prompt) == ("ComfyUI", "a castle", "fog")
    assert (found.seed, found.size, found.model) == (7, "1024x1024", "sd.safetensors")
    assert "workflow = 6 nodes" in found.not_carried


def test_a_graph_in_a_circle_ends() -> None:
    """Links that lead nowhere or around give no text, and an end."""
    looped = json.loads(json.dumps(COMFY))
    looped["10"]["inputs"]["conditioning"] = ["10", 0]
    found = read_foreign(png(prompt=json.dumps(looped)))
    assert found is not None
    assert found.prompt == ""
    assert read_foreign(png(prompt="a plain sentence")) is None
    assert read_foreign(png(prompt='{"1": 3}')) is None


def test_a_picture_that_says_nothing() -> None:
    """No recipe is None, not an error."""
    assert read_any(png()) is None
    assert read_any(png(Comment="hello")) is None


def test_ours_comes_before_theirs() -> None:
    """Both texts are in our pictures; the complete one counts."""
    recipe = Recipe(model="m", provider="p", mode="edit", prompt="x")
    assert read_any(embed(png(parameters=A1111), recipe)) == recipe


@pytest.mark.parametrize(
    ("text", "prompt", "negative", "seed"),
    [
        ("just words", "just words", "", None),
        ("words\nSteps: 5", "words", "", None),
        ("Negative prompt: fog\nSteps: 5, Seed: 3", "", "fog", 3),
        ("a\nSeed: 1, Size: 8x8, Model: m", "a", "", 1),
        ("a: b, c: d", "a: b, c: d", "", None),
        ("a\r\nNegative prompt: b\r\nSteps: 1, Seed: 2", "a", "b", 2),
        ('a\nSteps: 1, X: "un, closed, Seed: 4', "a", "", 4),
        ("a\nSteps: 1, Seed: -1", "a", "", None),
        ("", "", "", None),
    ],
)
def test_parameters_texts_of_all_kinds(text: str, prompt: str, negative: str, seed: int | None) -> None:
    """The settings line is known by its beginning or by three pairs; anything else is prompt."""
    found = from_parameters(text)
    assert (found.prompt, found.negative_prompt, found.seed) == (prompt, negative, seed)


def test_too_long_texts_are_kept_and_named() -> None:
    """Nothing of a prompt is cut silently."""
    found = from_parameters("x" * 2001 + "\nNegative prompt: " + "y" * 501 + "\nSteps: 1")
    assert len(found.prompt) == 2001
    assert any("2001 characters, 2000" in remark for remark in found.not_carried)
    assert any("501 characters, 500" in remark for remark in found.not_carried)


@pytest.mark.parametrize("kind", [b"zTXt", b"iTXt"])
def test_packed_recipes_are_read_and_bombs_are_not(kind: bytes) -> None:
    """A compressed text is unpacked to 2 MB at most: a bomb costs no memory."""
    recipe = Recipe(model="m", provider="p", mode="edit", prompt="fox")
    head = b"wan_notebook\0" + (b"\0" if kind == b"zTXt" else b"\1\0\0\0")
    assert read_recipe(behind_header(chunk(kind, head + zlib.compress(recipe.to_json().encode())))) == recipe
    bomb = behind_header(chunk(kind, head + zlib.compress(b"\0" * 30_000_000)))
    began = time.perf_counter()
    assert read_recipe(bomb) is None
    assert time.perf_counter() - began < 2
    cut = behind_header(chunk(kind, head + zlib.compress(recipe.to_json().encode())[:-8]))
    assert read_recipe(cut) is None


def test_only_a_parameters_text_right_behind_ours_is_ours() -> None:
    """A program that dropped our second chunk must not make ``strip`` take away somebody's text further on."""
    recipe = Recipe(model="m", provider="p", mode="edit", prompt="fox")
    ours = chunk(b"iTXt", b"wan_notebook\0\0\0\0\0" + recipe.to_json().encode())
    rest = chunk(b"gAMA", b"\0\0\xb1\x8f") + chunk(b"tEXt", b"parameters\0theirs")
    assert strip(behind_header(ours, rest)) == behind_header(rest)


def test_hostile_chunk_lengths_end_the_search() -> None:
    """A length beyond the file, or very many empty chunks, cost a bounded time."""
    assert read_any(behind_header(b"\xff\xff\xff\xffiTXtwan_notebook\0")) is None
    began = time.perf_counter()
    assert read_any(behind_header(chunk(b"tEXt", b"") * 400_000)) is None
    assert time.perf_counter() - began < 5


FRAGMENTS = [
    b"IHDR",
    b"tEXt",
    b"iTXt",
    b"zTXt",
    b"wan_notebook\0",
    b"parameters\0",
    b"invokeai_metadata\0",
    b"prompt\0",
]


@settings(max_examples=250, deadline=None)
@given(
    pieces=st.lists(st.sampled_from(FRAGMENTS) | st.binary(max_size=12), max_size=12),
    start=st.sampled_from(
        [b"", png()[:33], b"\xff\xd8\xff\xe1\x00\x40Exif\0\0II*\0\x08\0\0\0", b"RIFF\0\1\0\0WEBPEXIF"]
    ),
)
def test_arbitrary_bytes_never_crash_a_reader(pieces: list[bytes], start: bytes) -> None:
    """Any bytes give a recipe, nothing, or RecipeError; and stripping stays the exact inverse of embedding."""
    data = start + b"".join(pieces)
    with contextlib.suppress(RecipeError):
        read_any(data)
    recipe = Recipe(model="m", provider="p", mode="edit", prompt="x")
    assert strip(embed(data, recipe)) == strip(data)


@settings(max_examples=100, deadline=None)
@given(position=st.integers(0, 900), value=st.integers(0, 255))
def test_a_damaged_recipe_never_crashes(position: int, value: int) -> None:
    """A flipped byte gives a recipe, nothing, or RecipeError."""
    data = bytearray(embed(png(), Recipe(model="m", provider="p", mode="edit", prompt="fox 雪")))
    data[position % len(data)] = value
    with contextlib.suppress(RecipeError):
        read_any(bytes(data))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
FIELDS = sorted(Recipe(model="m", provider="p", mode="edit", prompt="x").to_dict())


@settings(max_examples=200, deadline=None)
@given(changes=st.dictionaries(st.sampled_from(FIELDS), JSON, max_size=4), text=st.text(max_size=60))
def test_arbitrary_json_never_crashes(changes: dict[str, object], text: str) -> None:
    """Any JSON is a recipe or RecipeError, and so is any text; graphs and metadata of others likewise."""
    whole = {**Recipe(model="m", provider="p", mode="edit", prompt="x").to_dict(), **changes}
    with contextlib.suppress(RecipeError):
        recipe_from_dict(whole)
    with contextlib.suppress(RecipeError):
        read_sidecar(text)
    from_parameters(text)
    read_foreign(png(prompt=json.dumps({**COMFY, "3": {"inputs": {**COMFY["3"]["inputs"], **changes}}})))
    read_foreign(png(invokeai_metadata=json.dumps({**INVOKE, **changes})))
