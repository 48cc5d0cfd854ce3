"""A recipe says what made a picture, in the file and beside it, and never what is nobody's business."""

from __future__ import annotations

import hashlib
import io
import json
from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from wan_notebook.errors import RecipeError
from wan_notebook.ledger import PictureRecord
from wan_notebook.money import Cost, Source
from wan_notebook.recipe import (
    SCHEMA,
    VERSION,
    Recipe,
    RecipeInput,
    RecipeParameters,
    RecipePicture,
    can_embed,
    changed_in,
    embed,
    embedded,
    public_name,
    read_any,
    read_foreign,
    read_recipe,
    read_sidecar,
    recipe_from_dict,
    strip,
    write_parameters,
    write_sidecar,
)


def encoded(kind: str = "PNG", **options: object) -> bytes:
    """A small picture as a service might send it."""
    buffer = io.BytesIO()
    Image.radial_gradient("L").convert("RGB").save(buffer, kind, **options)
    return buffer.getvalue()


PNG = encoded()
RECIPE = Recipe(
    model="wan2.6-image",
    provider="gateway",
    mode="edit",
    prompt="a fox in snow, 雪中的狐狸 🦊\nat dawn",
    negative_prompt="text, watermark",
    job_id="a3f9",
    task_id="task-1",
    parameters=RecipeParameters(size="1280*720", n=2, seed=5, prompt_extend=True, watermark=False),
    picture=RecipePicture(index=1, count=2, sha256="ab" * 32, width_px=1280, height_px=720),
    seeds=(5, 6),
    inputs=(RecipeInput(name="photo", identity="bytes:sha256:00", sha256="00", width_px=512, height_px=512),),
    times={"accepted": "2026-11-24T14:32:00+00:00"},
    cost=Cost(Decimal("0.03"), source=Source.REPORTED),
    fingerprints={"as_sent": "v1:abc"},
    versions={"wan-notebook": "1", "pillow": "13.0.0"},
)

TEXT = st.text(max_size=30)
SHORT = st.text("abcdefgh0123456789-. 雪", max_size=12)
WHOLE = st.integers(0, 2**31)
RECIPES = st.builds(
    Recipe,
    model=SHORT,
    provider=SHORT,
    mode=SHORT,
    prompt=TEXT,
    negative_prompt=TEXT,
    job_id=SHORT,
    task_id=SHORT,
    parameters=st.builds(
        RecipeParameters,
        size=st.none() | SHORT,
        n=st.none() | WHOLE,
        max_images=st.none() | WHOLE,
        seed=st.none() | WHOLE,
        prompt_extend=st.none() | st.booleans(),
        watermark=st.none() | st.booleans(),
        enable_interleave=st.none() | st.booleans(),
    ),
    picture=st.builds(
        RecipePicture, index=WHOLE, count=WHOLE, sha256=SHORT, width_px=st.none() | WHOLE, height_px=st.none() | WHOLE
    ),
    seeds=st.lists(WHOLE, max_size=4).map(tuple),
    inputs=st.lists(
        st.builds(RecipeInput, name=TEXT, identity=SHORT, sha256=SHORT, width_px=WHOLE, height_px=WHOLE), max_size=3
    ).map(tuple),
    times=st.dictionaries(SHORT, TEXT, max_size=3),
    cost=st.builds(
        Cost,
        amount=st.none() | st.decimals(0, 1000, places=6),
        currency=st.sampled_from(["USD", "CNY"]),
        source=st.sampled_from(Source),
        note=TEXT,
    ),
    fingerprints=st.dictionaries(SHORT, SHORT, max_size=2),
    versions=st.dictionaries(SHORT, TEXT, max_size=3),
)


@settings(max_examples=60, deadline=None)
@given(recipe=RECIPES)
def test_what_is_written_is_read(recipe: Recipe) -> None:
    """Inside the picture and beside it stands the same, whatever the prompt's characters."""
    inside = embed(PNG, recipe)
    assert read_recipe(inside) == recipe
    assert read_sidecar(write_sidecar(recipe)) == recipe
    assert strip(inside) == PNG
    assert Image.open(io.BytesIO(inside)).convert("RGB").tobytes() == Image.open(io.BytesIO(PNG)).tobytes()


def test_the_hash_of_what_the_service_sent_can_be_had_back() -> None:
    """``strip(embed(x))`` is x: verification compares the bytes as they came."""
    kept = hashlib.sha256(PNG).hexdigest()
    inside = embed(PNG, RECIPE)
    assert hashlib.sha256(inside).hexdigest() != kept
    assert hashlib.sha256(strip(inside)).hexdigest() == kept
    assert strip(PNG) is PNG


def recorded(came: bytes, recipe_sha256: str = "", file_sha256: str = "") -> PictureRecord:
    """Return what a ledger has of a picture."""
    sha256 = hashlib.sha256(came).hexdigest()
    return PictureRecord(idx=0, sha256=sha256, recipe_sha256=recipe_sha256, file_sha256=file_sha256)


def test_a_file_is_compared_in_its_two_parts() -> None:
    """The picture as it came, and what the file says of itself: either one, changed, added or lost, is told."""
    made = embedded(PNG, RECIPE)
    inside, other = b"".join(made.pieces), replace(RECIPE, prompt="a hare")
    record = recorded(PNG, made.recipe_sha256)
    pixel = inside[:-20] + bytes([inside[-20] ^ 1]) + inside[-19:]
    assert changed_in(inside, record) == ""
    assert changed_in(embed(PNG, other), record) == "recipe"
    assert changed_in(PNG, record) == "recipe"
    assert changed_in(pixel, record) == changed_in(b"", record) == "picture"
    assert changed_in(PNG, recorded(PNG)) == changed_in(b"RIFF", recorded(b"RIFF")) == ""
    assert changed_in(inside, recorded(PNG)) == "recipe"


def test_a_file_of_an_older_version_is_compared_by_its_own_hash() -> None:
    """Where the whole file's hash was recorded, and not the recipe's, it is what counts."""
    inside = embed(PNG, RECIPE)
    record = recorded(PNG, file_sha256=hashlib.sha256(inside).hexdigest())
    assert changed_in(inside, record) == ""
    assert changed_in(PNG, record) == "recipe"
    assert changed_in(inside[:-1], record) == "picture"


def test_a_picture_that_came_with_a_recipe_keeps_it_behind_the_new_one() -> None:
    """What the service sent can be had back byte for byte, even if it sends on what an input said of itself."""
    came = embed(PNG, replace(RECIPE, prompt="the input"))
    made = embedded(came, RECIPE)
    inside = b"".join(made.pieces)
    assert read_recipe(inside) == RECIPE
    assert strip(inside) == came
    assert changed_in(inside, recorded(came, made.recipe_sha256)) == ""
    assert changed_in(came, recorded(came, made.recipe_sha256)) == "recipe"


def test_a_picture_that_came_with_a_recipe_and_got_none_is_unchanged() -> None:
    """With recipes switched off the file is what the service sent, whatever that says of itself."""
    came = embed(PNG, replace(RECIPE, prompt="the input"))
    sha256 = hashlib.sha256(came).hexdigest()
    assert changed_in(came, recorded(came)) == changed_in(came, recorded(came, file_sha256=sha256)) == ""
    assert changed_in(embed(came, RECIPE), recorded(came)) == "picture"


def test_texts_of_the_service_s_own_stay() -> None:
    """Only our own two chunks are taken out, even if the picture had a ``parameters`` text before."""
    from PIL.PngImagePlugin import PngInfo

    info = PngInfo()
    info.add_text("parameters", "theirs")
    info.add_itxt("Comment", "雪")
    theirs = encoded(pnginfo=info)
    assert strip(embed(theirs, RECIPE)) == theirs
    assert strip(theirs) is theirs
    assert read_recipe(embed(theirs, RECIPE)) == RECIPE


def test_a_new_recipe_replaces_the_old_one() -> None:
    """Embedding twice leaves one recipe, the later one."""
    other = replace(RECIPE, prompt="a hare")
    twice = embed(embed(PNG, RECIPE), other)
    assert read_recipe(twice) == other
    assert strip(twice) == PNG


def test_only_png_takes_a_recipe_inside() -> None:
    """Other formats and damaged files are saved as they are; their recipe is the sidecar."""
    for data in (encoded("JPEG"), encoded("WEBP"), b"", b"\x89PNG\r\n\x1a\n", PNG[:20], b"text"):
        assert not can_embed(data)
        assert embed(data, RECIPE) is data
        assert strip(data) is data
        assert read_recipe(data) is None
    assert can_embed(PNG)


def test_pillow_reads_what_is_inside() -> None:
    """Other programs find both texts, before the pixels, in valid UTF-8."""
    with Image.open(io.BytesIO(embed(PNG, RECIPE))) as picture:
        texts = dict(picture.info)
        picture.load()
    assert json.loads(texts["wan_notebook"])["prompt"] == RECIPE.prompt
    assert texts["parameters"] == write_parameters(RECIPE)
    ascii_only = replace(RECIPE, prompt="a fox")
    assert b"tEXtparameters\0a fox\n" in embed(PNG, ascii_only)
    assert b"iTXtparameters\0" in embed(PNG, RECIPE)


def test_the_parameters_line_says_what_is_true() -> None:
    """Prompt, negative prompt, then one line that begins with Steps, as Civitai wants it, and holds no invention."""
    assert write_parameters(replace(RECIPE, model="wan")).split("\n") == [
        "a fox in snow, 雪中的狐狸 🦊",
        "at dawn",
        "Negative prompt: text, watermark",
        "Steps: 0, Seed: 5, Size: 1280x720, Model: wan, Prompt rewriting: on, Mode: edit, Version: wan_notebook 1",
    ]
    bare = Recipe(model="wan2.6-image", provider="simulator", mode="text to image", prompt="fox")
    assert write_parameters(bare) == "fox\nSteps: 0, Model: wan2.6-image, Mode: text to image, Version: wan_notebook"
    odd = replace(bare, model='a, "b": c')
    foreign = read_foreign(embed(PNG, odd).replace(b"wan_notebook\0", b"xan_notebook\0"))
    assert foreign is not None
    assert foreign.model == odd.model


def test_our_own_line_without_our_block_is_still_of_use() -> None:
    """A picture that went through a program which keeps only ``parameters`` gives prompt, seed and size."""
    inside = embed(PNG, RECIPE).replace(b"wan_notebook\0", b"xan_notebook\0")
    foreign = read_any(inside)
    assert foreign is not None
    assert (foreign.prompt, foreign.negative_prompt) == (RECIPE.prompt, RECIPE.negative_prompt)
    assert (foreign.seed, foreign.size) == (5, "1280x720")
    assert not any("Steps" in remark for remark in foreign.not_carried)


@pytest.mark.parametrize(
    ("name", "public"),
    [
        ("photo", "photo"),
        ("d['key'].resize((9, 9))", "d['key'].resize((9, 9))"),
        ("/home/jane/secret/cat.png", "cat.png"),
        ("secret/cat.png", "cat.png"),
        ("C:\\Users\\jane\\cat.png", "cat.png"),
        ("~/cat.png", "cat.png"),
        ("/home/jane (work)/it's/cat.png", "cat.png"),
        ("https://u:pw@host.example/a/cat.png?Signature=s3cret&Expires=1", "cat.png"),
        ("https://host.example/a%2Fsecret%2Fcat%20one.png#x", "cat one.png"),
        ("https://host.example/?key=s3cret", "image"),
        ("https://host.example", "image"),
        ("data:image/png;base64,AAAA", "data URL"),
        ('Image.open("/home/jane/cat.png").rotate(90)', 'Image.open("cat.png").rotate(90)'),
        ("open('https://h.example/secret/a.png?Sig=s3cret')", "open('a.png')"),
        ('open(Path("/home/jane") / "cat.png")', '"cat.png")'),
        ("", "image"),
    ],
)
def test_an_input_s_name_shows_no_place(name: str, public: str) -> None:
    """A path or URL in a name is reduced to its last part, also inside an expression."""
    image = RecipeInput(name=name, identity="x", sha256="y", width_px=1, height_px=1)
    assert image.name == public
    assert public_name(public) == public


def test_no_key_no_signed_url_no_local_path() -> None:
    """What a careless caller puts into other fields does not get out either."""
    leaky = Recipe(
        model="wan2.6-image",
        provider="https://proxy.internal/x?token=s3cret",
        mode="edit",
        prompt="p",
        task_id="/home/jane/s3cret/task",
        cost=Cost(None, note="see https://bill.example/jane/bill?sig=s3cret"),
        versions={"python": "/home/jane/.venv/bin/python"},
        inputs=(RecipeInput(name="/home/jane/a.png", identity="i", sha256="s", width_px=1, height_px=1),),
    )
    for text in (write_sidecar(leaky), embed(PNG, leaky).decode("latin-1")):
        for secret in ("s3cret", "jane", "://", "/home"):
            assert secret not in text


def test_a_newer_version_is_refused_whole() -> None:
    """A recipe of a later schema is not half-read: the error says which version, and how to read it."""
    data = {**RECIPE.to_dict(), "version": VERSION + 1}
    with pytest.raises(RecipeError, match=r"version 2.*reads up to 1.*pip install -U"):
        recipe_from_dict(data)
    newer = embed(PNG, RECIPE).replace(b'"version":1', b'"version":9')
    with pytest.raises(RecipeError, match="version 9"):
        read_any(newer)


def test_fields_that_are_not_there_have_defaults_and_new_ones_are_passed_over() -> None:
    """Within a version fields may be left out or added."""
    least = {"schema": SCHEMA, "version": 1, "model": "m", "provider": "p", "mode": "edit", "prompt": "x", "later": [1]}
    assert recipe_from_dict(least) == Recipe(model="m", provider="p", mode="edit", prompt="x")
    assert recipe_from_dict(least).cost.amount is None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"schema": "other"}, "no recipe of wan_notebook"),
        ({"version": "1"}, "its version is '1'"),
        ({"version": True}, "its version is True"),
        ({"version": 0}, "its version is 0"),
        ({"prompt": None}, "has no prompt"),
        ({"prompt": 3}, "prompt is 3, not text"),
        ({"seeds": 3}, "seeds is 3, not a list"),
        ({"seeds": [1.5]}, r"seeds\[0\] is 1.5, not a whole number"),
        ({"seeds": [10**40]}, "not a whole number"),
        ({"parameters": []}, r"parameters is \[\], not an object"),
        ({"parameters": {"n": True}}, "n is True, not a whole number"),
        ({"parameters": {"watermark": 1}}, "watermark is 1, not true or false"),
        ({"inputs": [{}]}, r"inputs\[0\] has no name"),
        ({"cost": {"amount": 0.03}}, "amount is 0.03"),
        ({"cost": {"amount": "1E999999999"}}, "amount is '1E999999999'"),
        ({"cost": {"source": "guess"}}, "source is 'guess'"),
        ({"times": {"saved": 3}}, "times's saved is 3"),
    ],
)
def test_a_field_of_the_wrong_kind_is_named(change: dict[str, object], message: str) -> None:
    """A damaged recipe is an error that names the place, not a guess."""
    with pytest.raises(RecipeError, match=message):
        recipe_from_dict({**RECIPE.to_dict(), **change})


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "NaN", "[" * 100_000, '"' + "x" * 3_000_000 + '"', "1" * 5000])
def test_what_is_no_sidecar_is_refused(text: str) -> None:
    """Any text gives a recipe or RecipeError."""
    with pytest.raises(RecipeError):
        read_sidecar(text)
