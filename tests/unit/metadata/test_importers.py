"""Other programs' pictures give what they can and say what they cannot: wrong text is worse than none."""

import copy
import json
import math
import re
import shlex

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from tests.fakes.pictures import behind_header, chunk, encoded, exif, png_with_texts
from wan_notebook.metadata import ForeignMetadata, read_any

A1111 = (
    "a castle, <lora:detail:0.8> (sunset:1.3)\nby the sea\n"
    "Negative prompt: blurry,\nlow quality\n"
    "Steps: 20, Sampler: DPM++ 2M Karras, CFG scale: 7, Seed: 965400086, Size: 1024x768, Model hash: 45dee52b, "
    'Model: dreamer, Lora hashes: "detail: 12ab, b: 34cd", Version: v1.9'
)
SETTINGS = "Steps: 20, Sampler: Euler, CFG scale: 7, Seed: 5, Size: 1024x1024"
LIGHTHOUSE = f"a lighthouse at dusk\nNegative prompt: fog\n{SETTINGS}"


def read(**texts: str) -> ForeignMetadata:
    """What a PNG with these texts says."""
    return foreign(png_with_texts(**texts))


def foreign(data: bytes) -> ForeignMetadata:
    """What another program says in a file."""
    found = read_any(data)
    assert isinstance(found, ForeignMetadata)
    return found


def told(found: ForeignMetadata) -> tuple[object, ...]:
    """What a cell is made of."""
    return found.prompt, found.negative_prompt, found.seed, found.width_px, found.height_px


# ------------------------------------------------------------------ A1111 and its relatives


def test_a1111_gives_prompt_seed_and_size() -> None:
    """What Wan understands is carried over, everything else is listed."""
    found = read(parameters=A1111)
    assert told(found) == ("a castle, (sunset:1.3)\nby the sea", "blurry,\nlow quality", 965400086, 1024, 768)
    listed = " | ".join((found.dialect, *found.notes))
    settings = ("Steps = 20", "Sampler = DPM++ 2M Karras", "model = dreamer", "Lora hashes = detail: 12ab, b: 34cd")
    assert all(what in listed for what in ("A1111", "<lora:detail:0.8>", *settings))


@pytest.mark.parametrize(
    ("text", "prompt", "negative", "seed"),
    [
        ("just words", "just words", "", None),
        ("Negative prompt: fog\nSteps: 5, Seed: 3", "", "fog", 3),
        ("a: b, c: d", "a: b, c: d", "", None),
        ("a\r\nNegative prompt: b\r\nSteps: 1, Seed: 2", "a", "b", 2),
        ('a\nSteps: 1, X: "un, closed, Seed: 4', "a", "", 4),
        ("a\nSteps: 1, Seed: -1", "a", "", None),
        (f'a house\nNegative prompt: fog\n{SETTINGS}, Wildcard: "a\nb __c__", Version: v1', "a house", "fog", 5),
        (f"a house, Negative prompt: fog, {SETTINGS}", "a house", "fog", 5),
        (f"a house. Negative prompt: fog. {SETTINGS}", "a house", "fog", 5),
        (f"a recipe. Steps: 3 of them\n{SETTINGS}", "a recipe. Steps: 3 of them", "", 5),
        (f"{SETTINGS}\nTemplate: a {{b|c}}", "", "", 5),
    ],
)
def test_parameters_texts_of_all_kinds(text: str, prompt: str, negative: str, seed: int | None) -> None:
    """In lines or in one line, quoted or not: the settings begin with Steps, or are three pairs; the rest is prompt."""
    found = read(parameters=text)
    assert told(found) == (prompt, negative, seed, *([1024, 1024] if "1024x1024" in text else [None, None]))


CODED = f"{LIGHTHOUSE}, X: 雪"
COMMENTS = [b"UNICODE\0" + CODED.encode(order) for order in ("utf-16-be", "utf-16-le", "utf-16", "utf-8")]
COMMENTS += [code + CODED.encode() for code in (b"ASCII\0\0\0", b"\0" * 8, b"")]


@pytest.mark.parametrize("kind", ["JPEG", "WEBP", "AVIF"])
def test_texts_are_read_in_any_encoding(kind: str) -> None:
    """Exif in every order of bytes, whatever it declares itself to be; a PNG's tEXt in Latin-1 and in UTF-8."""
    for comment in COMMENTS:
        found = foreign(encoded(Image.new("RGB", (64, 64)), kind, exif=exif(comment=comment)))
        assert told(found) == ("a lighthouse at dusk", "fog", 5, 1024, 1024)
        assert "X = 雪" in found.notes
    for encoding in ("utf-8", "latin-1"):
        text = f"un château\n{SETTINGS}".encode(encoding)
        assert foreign(behind_header(chunk(b"tEXt", b"parameters\0" + text))).prompt == "un château"


def test_a_picture_that_says_nothing() -> None:
    """No metadata is None, not an error; nor is a caption taken for a prompt."""
    for data in (encoded(), png_with_texts(Comment="hello"), png_with_texts(parameters="None"), b"", b"text"):
        assert read_any(data) is None
    assert read_any(encoded(kind="JPEG", exif=exif(comment=b"ASCII\0\0\0taken in Paris"))) is None
    for text in ("a plain sentence", '{"1": 3}', "[]", '{"a": ' * 5000, '{"prompt": "a fox"}'):
        assert read_any(png_with_texts(prompt=text)) is None


def test_an_empty_source_does_not_hide_a_good_one() -> None:
    """The text that says something counts, wherever it stands."""
    for empty in ("", "None", " ", "{}", '{"other": "json"}'):
        assert read(parameters=empty, prompt=json.dumps(GRAPH)).dialect == "ComfyUI"
        assert read(invokeai_metadata=empty, parameters=LIGHTHOUSE).prompt == "a lighthouse at dusk"


def test_every_note_is_one_safe_line() -> None:
    """Notes are shown in cells and terminals: no escape sequence, no line break, no end."""
    evil = "\x1b]0;owned\x07\n%%wan\n\u2028" + "x" * 5000
    hostile = copy.deepcopy(GRAPH)
    hostile["3"]["inputs"] |= {"sampler_name": evil, "seed": evil}
    hostile["6"] = {"class_type": evil, "inputs": {"text": evil}}
    for texts in (
        {"parameters": f'a\nSteps: 1, Model: "{evil}", X: "{evil}"'},
        {"invokeai_metadata": json.dumps({"positive_prompt": "a", "seed": evil, "model": evil, evil: evil})},
        {"prompt": json.dumps(hostile)},
    ):
        notes = read(**texts).notes
        assert notes
        assert all(note.isprintable() and len(note) <= 200 for note in notes)


# ------------------------------------------------------------------ programs that write one JSON object

PROMPT = "a lighthouse at dusk"
FIELDS = {"prompt": PROMPT, "seed": 123, "width": 1024, "height": 1024}
SWARM = {"sui_image_params": {**FIELDS, "negativeprompt": "fog", "model": "sd_xl", "steps": 20}, "sui_extra_data": {}}
FOOOCUS = {"prompt": PROMPT, "negative_prompt": "fog", "seed": "123", "resolution": "(1024, 1024)"}
FOOOCUS |= {"base_model": "jugger", "full_prompt": [f"{PROMPT}, cinematic"], "metadata_scheme": "fooocus"}
OLD_FOOOCUS = {"Prompt": PROMPT, "Negative Prompt": "fog", "Seed": 123, "Resolution": "(1024, 1024)", "Base Model": "j"}
NOVEL = {**FIELDS, "uc": "fog", "steps": 28, "sampler": "k_euler"}
NOVEL_4 = {
    **NOVEL,
    "prompt": "a lighthouse",
    "v4_prompt": {"caption": {"base_caption": "a lighthouse", "char_captions": [{"char_caption": "a gull"}]}},
    "v4_negative_prompt": {"caption": {"base_caption": "fog", "char_captions": [{"char_caption": ""}]}},
}
INVOKE = {"app_version": "5.1.0", "positive_prompt": PROMPT, "negative_prompt": "fog", "seed": 123, "width": 1024}
INVOKE |= {"height": 1024, "steps": 30, "loras": [], "model": {"key": "k", "name": "juggernaut"}}
INVOKE_NODES = {"type": "t2l", "positive_conditioning": PROMPT, "negative_conditioning": "fog"}
OLD_INVOKE = {
    "model_weights": "sd-1.5",
    "app_version": "2.3",
    "image": {**FIELDS, "prompt": [{"prompt": f"{PROMPT} [fog]", "weight": 1.0}], "sampler": "k_lms"},
}
DREAM = '"a lighthouse at dusk [fog]" -s 50 -S 123 -W 1024 -H 1024 -C 7.5 -A k_lms'


@pytest.mark.parametrize(
    ("keyword", "text", "dialect"),
    [
        ("parameters", SWARM, "SwarmUI"),
        ("parameters", FOOOCUS, "Fooocus"),
        ("parameters", OLD_FOOOCUS, "Fooocus"),
        ("Comment", NOVEL, "NovelAI"),
        ("Comment", NOVEL_4, "NovelAI"),
        ("invokeai_metadata", INVOKE, "InvokeAI"),
        ("invokeai_metadata", {**FIELDS, **INVOKE_NODES}, "InvokeAI"),
        ("sd-metadata", OLD_INVOKE, "InvokeAI"),
        ("Dream", DREAM, "InvokeAI"),
    ],
)
def test_programs_that_write_json(keyword: str, text: object, dialect: str) -> None:
    """SwarmUI, Fooocus, NovelAI, InvokeAI of all generations and their like, from PNG and, where they do, from Exif."""
    written = text if isinstance(text, str) else json.dumps(text)
    found = read(**{keyword: written})
    prompt = "a lighthouse, a gull" if text is NOVEL_4 else "a lighthouse at dusk"
    assert (found.dialect, *told(found)) == (dialect, prompt, "fog", 123, 1024, 1024)
    if keyword == "parameters":
        in_exif = encoded(kind="JPEG", exif=exif(comment=b"UNICODE\0" + written.encode("utf-16-be")))
        assert read_any(in_exif) == found


def test_what_wan_does_not_take_is_listed_not_bent() -> None:
    """A seed and a size out of range are named, and so is everything else."""
    found = read(invokeai_metadata=json.dumps({**INVOKE, "seed": 4294967295, "width": 512, "height": 512}))
    assert (found.seed, found.width_px, found.height_px) == (None, None, None)
    listed = " | ".join(found.notes)
    out_of_range = "seed = 4294967295 (Wan 2.6 takes 0 to 2147483647)"
    assert all(text in listed for text in (out_of_range, "size = 512x512", "steps = 30", "model = juggernaut"))
    assert "loras" not in listed
    unreadable = read(parameters="a house\nSteps: 20, Seed: 5, Size: large, Model: x")
    assert (unreadable.width_px, unreadable.notes[0][:12]) == (None, "size = large")
    assert "size" not in str(read(parameters="a house\nSteps: 20, Seed: 5, Model: x").notes)


# ------------------------------------------------------------------ ComfyUI


def node(line: str) -> tuple[str, dict[str, object]]:
    """A node's id and content: ``6 CLIPTextEncode text='a cat' clip=@4/1``, where ``@4/1`` is output 1 of node 4."""
    key, kind, *inputs = shlex.split(line)
    values: dict[str, object] = dict(item.split("=", 1) for item in inputs)
    for name, value in values.items():
        if value[:1] == "@":
            values[name] = [value[1:].partition("/")[0], int(value.partition("/")[2])]
        elif value.isdigit():
            values[name] = int(value)
    return key, {"class_type": kind, "inputs": values}


BASE = """3 KSampler seed=7 steps=20 cfg=8 model=@4/0 positive=@6/0 negative=@7/0 latent_image=@5/0
4 CheckpointLoaderSimple ckpt_name=sd.safetensors
5 EmptyLatentImage width=1024 height=1024 batch_size=1
6 CLIPTextEncode text='a lighthouse at dusk' clip=@4/1
7 CLIPTextEncode text=fog clip=@4/1
8 VAEDecode samples=@3/0 vae=@4/2"""
GRAPH = dict(map(node, BASE.splitlines()))
PLAIN = ("a lighthouse at dusk", "fog", 7, 1024, 1024)


def graph(*lines: str) -> str:
    """The base graph with nodes added; ``3.seed=@30/0`` changes an input of the sampler, ``-3`` removes it."""
    made = copy.deepcopy(GRAPH)
    for line in lines:
        if line == "-3":
            del made["3"]
        elif line.startswith("3."):
            made["3"]["inputs"] |= node(f"3 KSampler {line[2:]}")[1]["inputs"]
        else:
            made |= dict([node(line)])
    return json.dumps(made)


CONTROL = "8 ControlNetApplyAdvanced strength=1 positive=@6/0 negative=@7/0 control_net=@9/0"
CUSTOM = ("-3", "10 SamplerCustomAdvanced noise=@11/0 guider=@12/0 latent_image=@5/0", "11 RandomNoise noise_seed=77")
REFINER = "20 KSamplerAdvanced noise_seed=9 positive=@15/0 negative=@7/0 latent_image=@3/0 model=@4/0"
SDXL = "6 CLIPTextEncodeSDXL text_g='a lighthouse' text_l='at dusk' width=1"
COMBINE = "8 ConditioningCombine conditioning_1=@6/0 conditioning_2=@9/0"
CONCAT = "31 StringConcatenate string_a='a lighthouse' string_b=@32/0 delimiter=' '"
GROWING = [f"{k} Concat " + " ".join(f"text_{c}=@{k + 1}/0" for c in "abcdefghijklmnopqrs") for k in (31, 32, 33)]
WIDE = [f"{k} Combine " + " ".join(f"conditioning_{s}=@{k + 1}/{s}" for s in range(9, 69)) for k in range(100, 200)]
AGAIN = "20 KSampler seed=7 model=@4/0 positive=@6/0 negative=@7/0 latent_image=@5/0"


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ((), PLAIN),
        ((CONTROL, "3.positive=@8/0", "3.negative=@8/1"), PLAIN),
        ((*CUSTOM, "12 CFGGuider model=@4/0 positive=@6/0 negative=@7/0 cfg=5"), (*PLAIN[:2], 77, 1024, 1024)),
        ((*CUSTOM, "12 BasicGuider conditioning=@6/0 model=@4/0"), (PLAIN[0], "", 77, 1024, 1024)),
        ((SDXL,), ("a lighthouse, at dusk", *PLAIN[1:])),
        (("6 CLIPTextEncodeFlux clip_l='a lighthouse at dusk' t5xxl='a lighthouse at dusk' guidance=3",), PLAIN),
        (("3.seed=@30/0", "30 Seed seed=123"), (*PLAIN[:2], 123, 1024, 1024)),
        (("6 CLIPTextEncode text=@31/0", CONCAT, "32 PrimitiveString value='at dusk'"), PLAIN),
        ((COMBINE, "9 CLIPTextEncode text=gulls", "3.positive=@8/0"), ("a lighthouse at dusk, gulls", *PLAIN[1:])),
        (("8 ConditioningZeroOut conditioning=@6/0", "3.negative=@8/0"), (PLAIN[0], "", *PLAIN[2:])),
        ((REFINER, "15 CLIPTextEncode text=details"), PLAIN),  # a second pass over the same picture
        ((AGAIN,), PLAIN),  # two samplers that agree
        (("5 EmptyLatentImage width=@51/0 height=1024", "51 Int value=1024"), PLAIN),
    ],
)
def test_graphs_are_followed_from_the_sampler(lines: tuple[str, ...], expected: tuple[object, ...]) -> None:
    """Links lead through outputs, guiders and text nodes to the texts, the seed and the size."""
    made = json.loads(graph(*lines))
    made["6"]["is_changed"] = [math.nan]  # what json.dumps writes is not strict JSON
    text = json.dumps(made)
    found = read(prompt=text)
    assert told(found) == expected
    assert found.dialect == "ComfyUI"
    assert not any("not understood" in note for note in found.notes)
    in_webp = encoded(kind="WEBP", exif=exif(model=f"prompt:{text}"))
    in_jpeg = encoded(kind="JPEG", exif=exif(comment=b"UNICODE\0" + json.dumps({"prompt": made}).encode()))
    assert read_any(in_webp) == read_any(in_jpeg) == found


@pytest.mark.parametrize(
    ("lines", "note"),
    [
        (("6 CLIPTextEncode text=@31/0", "31 OllamaGenerate prompt='improve: a boat'"), "node 6 CLIPTextEncode: text"),
        ((COMBINE, "9 Mystery x=1", "3.positive=@8/0"), "node 9 Mystery.*found on the way: a lighthouse at dusk"),
        (("3.positive=@99/0",), "node 99"),
        (("8 ConditioningZeroOut conditioning=@6/0", "3.positive=@8/0"), "no prompt was found"),
        ((CONTROL, "3.positive=@8/2"), "prompt is not understood"),
        (
            ("20 KSampler positive=@15/0 latent_image=@5/0", "15 CLIPTextEncode text='a boat'"),
            r"its samplers have different texts.*: a lighthouse at dusk \| a boat",
        ),
        (("-3",), "no sampler that is known .*CLIPTextEncode"),
        (("6 CLIPTextEncode text=@31/0", *GROWING, f"34 String value={'x' * 1000}"), "node 6 CLIPTextEncode: text"),
        ((*WIDE, "200 CLIPTextEncode text=x", "3.positive=@100/0"), "more links than are followed"),
    ],
)
def test_what_is_not_understood_is_said(lines: tuple[str, ...], note: str) -> None:
    """One unknown node on the way leaves the text empty, with a note on what was found and what was not."""
    found = read(prompt=graph(*lines))
    assert found.prompt == ""
    assert re.search(note, " · ".join(found.notes)), found.notes
    workflow = read(workflow=json.dumps({"nodes": [1, 2], "links": [], "version": 0.4}))
    assert workflow.notes == ("its workflow is there, but not the graph that was run",)


def test_what_is_made_to_take_long_ends_soon() -> None:
    """Every output is looked at once: a doubling chain or a circle costs nothing; nor do hostile texts."""
    chain = [f"{n} ConditioningCombine conditioning_1=@{n + 1}/0 conditioning_2=@{n + 1}/0" for n in range(100, 400)]
    assert read(prompt=graph("3.positive=@100/0", *chain, "400 CLIPTextEncode text=x")).prompt == "x"
    strings = [f"{n} Concat text_a=@{n + 1}/0 text_b=@{n + 1}/0" for n in range(100, 160)]
    for lines in (("6 CLIPTextEncode text=@100/0", *strings), ("6 FluxGuidance conditioning=@6/0",)):
        assert read(prompt=graph(*lines)).prompt == ""
    for part in ("\n", " ", "Steps: 1 ", "\nSteps: 1", 'a:"', "[", "a: ", "<lora:", '"-S '):
        text = part * (99_000 // len(part))
        for keyword in ("Dream", "parameters", "Comment", "sd-metadata"):
            read_any(png_with_texts(**{keyword: text}))


NAMES = st.sampled_from(sorted({*GRAPH["3"]["inputs"], *GRAPH["5"]["inputs"], *INVOKE, *FOOOCUS, "guider", "image"}))
LEAVES = st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=8) | st.just(["6", 0])
JSON = LEAVES | st.lists(LEAVES, max_size=3) | st.dictionaries(st.text(max_size=8), LEAVES, max_size=3)


@given(changes=st.dictionaries(NAMES, JSON, max_size=4), key=st.sampled_from(sorted(GRAPH)), text=st.text(max_size=60))
def test_arbitrary_json_never_crashes(changes: dict[str, object], key: str, text: str) -> None:
    """Any object under any name gives metadata or nothing."""
    made = copy.deepcopy(GRAPH)
    made[key]["inputs"] |= changes
    objects = [{**INVOKE, **changes}, changes, {**OLD_INVOKE, "image": changes}, {**NOVEL_4, "v4_prompt": changes}]
    texts = [("parameters", text), ("prompt", json.dumps(made)), *(("parameters", json.dumps(o)) for o in objects)]
    for keyword, data in texts:
        read_any(behind_header(chunk(b"iTXt", keyword.encode() + b"\0\0\0\0\0" + data.encode("utf-8", "replace"))))
