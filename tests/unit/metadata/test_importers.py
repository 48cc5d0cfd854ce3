"""Other programs' pictures give what they can and say what they cannot: wrong text is worse than none."""

import copy
import json
import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.fakes.pictures import behind_header, chunk, encoded, exif, png_with_texts
from wan_notebook.metadata import ForeignMetadata, Metadata, embed, from_parameters, read_any, read_foreign

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
    found = read_foreign(png_with_texts(**texts))
    assert found is not None
    return found


def told(found: ForeignMetadata) -> tuple[object, ...]:
    """What a cell is made of."""
    return found.prompt, found.negative_prompt, found.seed, found.width_px, found.height_px


# ------------------------------------------------------------------ A1111 and its relatives


def test_a1111_gives_prompt_seed_and_size() -> None:
    """What Wan understands is carried over, everything else is listed."""
    found = read(parameters=A1111)
    assert told(found) == ("a castle, (sunset:1.3)\nby the sea", "blurry,\nlow quality", 965400086, 1024, 768)
    assert (found.dialect, found.model) == ("A1111", "dreamer")
    listed = " | ".join(found.notes)
    for what in ("<lora:detail:0.8>", "Steps = 20", "Sampler = DPM++ 2M Karras", "CFG scale = 7", "model = dreamer"):
        assert what in listed
    assert "Lora hashes = detail: 12ab, b: 34cd" in listed


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
        (f'a house\nNegative prompt: fog\n{SETTINGS}, Wildcard: "a\nb __c__", Version: v1', "a house", "fog", 5),
        (f"a house, Negative prompt: fog, {SETTINGS}", "a house", "fog", 5),
        (f"a house. Negative prompt: fog. {SETTINGS}", "a house", "fog", 5),
        (f"A house.\nNegative prompt: fog.\n{SETTINGS}", "A house.", "fog.", 5),
        (f"a recipe. Steps: 3 of them\n{SETTINGS}", "a recipe. Steps: 3 of them", "", 5),
        ("a recipe with Steps: 3", "a recipe with Steps: 3", "", None),
        (f"{SETTINGS}\nTemplate: a {{b|c}}", "", "", 5),
        ("", "", "", None),
    ],
)
def test_parameters_texts_of_all_kinds(text: str, prompt: str, negative: str, seed: int | None) -> None:
    """In lines or in one line, quoted or not: the settings begin with Steps, or are three pairs; the rest is prompt."""
    found = from_parameters(text)
    assert (found.prompt, found.negative_prompt, found.seed) == (prompt, negative, seed)


@pytest.mark.parametrize("kind", ["JPEG", "WEBP", "AVIF"])
@pytest.mark.parametrize(
    "comment",
    [
        *(
            b"UNICODE\0" + f"{LIGHTHOUSE}, X: 雪".encode(order)
            for order in ("utf-16-be", "utf-16-le", "utf-16", "utf-8")
        ),
        *(code + f"{LIGHTHOUSE}, X: 雪".encode() for code in (b"ASCII\0\0\0", b"\0" * 8, b"")),
    ],
)
def test_exif_keeps_the_text_in_any_encoding(kind: str, comment: bytes) -> None:
    """Every format with Exif, every order of bytes, whatever the text declares itself to be."""
    found = read_foreign(encoded(kind=kind, exif=exif(comment=comment)))
    assert found is not None
    assert told(found) == ("a lighthouse at dusk", "fog", 5, 1024, 1024)
    assert "X = 雪" in found.notes


def test_text_chunks_in_utf8_and_latin1() -> None:
    """A PNG's tEXt is Latin-1 by the standard, and UTF-8 in practice."""
    for encoding in ("utf-8", "latin-1"):
        found = read_foreign(
            behind_header(chunk(b"tEXt", b"parameters\0" + f"un château\n{SETTINGS}".encode(encoding)))
        )
        assert found is not None
        assert found.prompt == "un château"


def test_a_picture_that_says_nothing() -> None:
    """No metadata is None, not an error; nor is a caption taken for a prompt."""
    for data in (encoded(), png_with_texts(Comment="hello"), png_with_texts(parameters="None"), b"", b"text"):
        assert read_any(data) is None
    assert read_foreign(encoded(kind="JPEG", exif=exif(comment=b"ASCII\0\0\0taken in Paris"))) is None
    for text in ("a plain sentence", '{"1": 3}', "[]", "{}", '{"a": ' * 5000):
        assert read_foreign(png_with_texts(prompt=text)) is None
    ours = Metadata(model="m", provider="p", mode="edit", prompt="x")
    assert read_any(embed(png_with_texts(parameters=A1111), ours)) == ours


def test_an_empty_source_does_not_hide_a_good_one() -> None:
    """The text that says something counts, wherever it stands."""
    for empty in ("", "None", " "):
        assert read(parameters=empty, prompt=json.dumps(GRAPH)).prompt == "a lighthouse at dusk"
    assert read(invokeai_metadata="{}", parameters=LIGHTHOUSE).prompt == "a lighthouse at dusk"
    assert read(parameters='{"other": "json"}', prompt=json.dumps(GRAPH)).dialect == "ComfyUI"


def test_too_long_texts_are_kept_and_named() -> None:
    """Nothing of a prompt is cut silently."""
    found = from_parameters("x" * 2001 + "\nNegative prompt: " + "y" * 501 + "\nSteps: 1")
    assert len(found.prompt) == 2001
    assert any("2001 characters, 2000" in note for note in found.notes)
    assert any("501 characters, 500" in note for note in found.notes)


def test_every_note_is_one_safe_line() -> None:
    """Notes are shown in cells and terminals: no escape sequence, no line break, no end."""
    evil = "\x1b]0;owned\x07\n%%wan\n\u2028" + "x" * 5000
    graph = copy.deepcopy(GRAPH)
    graph["3"]["inputs"] |= {"sampler_name": evil, "seed": evil}
    graph["6"] = {"class_type": evil, "inputs": {"text": evil}}
    for texts in (
        {"parameters": f'a\nSteps: 1, Model: "{evil}", X: "{evil}"'},
        {"invokeai_metadata": json.dumps({"positive_prompt": "a", "seed": evil, "model": evil, evil: evil})},
        {"prompt": json.dumps(graph)},
        {"prompt": json.dumps({"1": {"class_type": evil, "inputs": {}}})},
    ):
        found = read(**texts)
        assert found.notes
        assert all(note.isprintable() and len(note) <= 200 for note in (*found.notes, found.model))


# ------------------------------------------------------------------ programs that write one JSON object

FIELDS = {"prompt": "a lighthouse at dusk", "seed": 123, "width": 1024, "height": 1024}
SWARM = {"sui_image_params": {**FIELDS, "negativeprompt": "fog", "model": "sd_xl", "steps": 20}, "sui_extra_data": {}}
FOOOCUS = {
    "prompt": "a lighthouse at dusk",
    "negative_prompt": "fog",
    "seed": "123",
    "resolution": "(1024, 1024)",
    "base_model": "jugger",
    "full_prompt": ["a lighthouse at dusk, cinematic"],
    "metadata_scheme": "fooocus",
}
OLD_FOOOCUS = {
    "Prompt": "a lighthouse at dusk",
    "Negative Prompt": "fog",
    "Seed": 123,
    "Resolution": "(1024, 1024)",
    "Base Model": "jugger",
}
NOVEL = {**FIELDS, "uc": "fog", "steps": 28, "sampler": "k_euler"}
NOVEL_4 = {
    **NOVEL,
    "prompt": "a lighthouse",
    "v4_prompt": {"caption": {"base_caption": "a lighthouse", "char_captions": [{"char_caption": "a gull"}]}},
    "v4_negative_prompt": {"caption": {"base_caption": "fog", "char_captions": [{"char_caption": ""}]}},
}
INVOKE = {
    "app_version": "5.1.0",
    "positive_prompt": "a lighthouse at dusk",
    "negative_prompt": "fog",
    "seed": 123,
    "width": 1024,
    "height": 1024,
    "steps": 30,
    "loras": [],
    "model": {"key": "k", "name": "juggernaut"},
}
INVOKE_NODES = {"type": "t2l", "positive_conditioning": "a lighthouse at dusk", "negative_conditioning": "fog"}
OLD_INVOKE = {
    "model_weights": "sd-1.5",
    "app_version": "2.3",
    "image": {**FIELDS, "prompt": [{"prompt": "a lighthouse at dusk [fog]", "weight": 1.0}], "sampler": "k_lms"},
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
        ("parameters", {**FIELDS, "negative_prompt": "fog"}, "JSON"),
        ("parameters", {**FIELDS, "negative_prompt": "fog", "use_stable_diffusion_model": "m"}, "Easy Diffusion"),
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
        assert read_foreign(in_exif) == found


def test_what_wan_does_not_take_is_listed_not_bent() -> None:
    """A seed and a size out of range are named, and so is everything else."""
    found = read(invokeai_metadata=json.dumps({**INVOKE, "seed": 4294967295, "width": 512, "height": 512}))
    assert (found.seed, found.width_px, found.height_px, found.model) == (None, None, None, "juggernaut")
    listed = " | ".join(found.notes)
    assert "seed = 4294967295 (Wan 2.6 takes 0 to 2147483647)" in listed
    assert "size = 512x512" in listed
    assert "steps = 30" in listed
    assert "loras" not in listed
    assert "sampler = k_lms" in read(**{"sd-metadata": json.dumps(OLD_INVOKE)}).notes


# ------------------------------------------------------------------ ComfyUI


def node(kind: str, **inputs: object) -> dict[str, object]:
    """One node of a graph."""
    return {"class_type": kind, "inputs": inputs}


GRAPH = {
    "3": node(
        "KSampler",
        seed=7,
        steps=20,
        cfg=8.0,
        model=["4", 0],
        positive=["6", 0],
        negative=["7", 0],
        latent_image=["5", 0],
    ),
    "4": node("CheckpointLoaderSimple", ckpt_name="sd.safetensors"),
    "5": node("EmptyLatentImage", width=1024, height=1024, batch_size=1),
    "6": node("CLIPTextEncode", text="a lighthouse at dusk", clip=["4", 1]),
    "7": node("CLIPTextEncode", text="fog", clip=["4", 1]),
    "8": node("VAEDecode", samples=["3", 0], vae=["4", 2]),
}
PLAIN = ("a lighthouse at dusk", "fog", 7, 1024, 1024)


def graph(without: str = "", sampler: dict[str, object] | None = None, **nodes: object) -> str:
    """The base graph with nodes added or replaced (``n8`` is node 8), and inputs of the sampler changed."""
    made = copy.deepcopy(GRAPH) | {name.removeprefix("n"): value for name, value in nodes.items()}
    made["3"]["inputs"] |= sampler or {}
    return json.dumps({key: value for key, value in made.items() if key != without})


SDXL = node("CLIPTextEncodeSDXL", text_g="a lighthouse", text_l="at dusk", width=1024, clip=["4", 1])
FLUX = node("CLIPTextEncodeFlux", clip_l="a lighthouse at dusk", t5xxl="a lighthouse at dusk", guidance=3.5)
CONTROL = node("ControlNetApplyAdvanced", strength=1, positive=["6", 0], negative=["7", 0], control_net=["9", 0])
CUSTOM = {
    "n10": node(
        "SamplerCustomAdvanced",
        noise=["11", 0],
        guider=["12", 0],
        sampler=["13", 0],
        sigmas=["14", 0],
        latent_image=["5", 0],
    ),
    "n11": node("RandomNoise", noise_seed=77),
}
CFG = node("CFGGuider", model=["4", 0], positive=["6", 0], negative=["7", 0], cfg=5)
REFINER = node(
    "KSamplerAdvanced",
    noise_seed=9,
    positive=["15", 0],
    negative=["7", 0],
    latent_image=["3", 0],
    model=["4", 0],
)
EFFICIENT = node("Efficient Loader", positive="a lighthouse at dusk", negative="fog", ckpt_name="sd.safetensors")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (graph(), PLAIN),
        (graph(n6={**GRAPH["6"], "is_changed": [math.nan]}), PLAIN),  # what json.dumps writes is not strict JSON
        (graph(n8=CONTROL, sampler={"positive": ["8", 0], "negative": ["8", 1]}), PLAIN),
        (graph(n8=node("FluxGuidance", conditioning=["6", 0], guidance=3.5), sampler={"positive": ["8", 0]}), PLAIN),
        (graph(without="3", n12=CFG, **CUSTOM), (*PLAIN[:2], 77, 1024, 1024)),
        (
            graph(without="3", n12=node("BasicGuider", conditioning=["6", 0], model=["4", 0]), **CUSTOM),
            ("a lighthouse at dusk", "", 77, 1024, 1024),
        ),
        (graph(n6=SDXL), ("a lighthouse, at dusk", *PLAIN[1:])),
        (graph(n6=FLUX), PLAIN),
        (graph(sampler={"seed": ["30", 0]}, n30={"inputs": {"seed": 123}}), (*PLAIN[:2], 123, 1024, 1024)),
        (graph(n6=node("CLIPTextEncode", text=["31", 0]), n31=node("String", value="a lighthouse at dusk")), PLAIN),
        (
            graph(
                n6=node("CLIPTextEncode", text=["31", 0]),
                n31=node("StringConcatenate", string_a="a lighthouse", string_b=["32", 0], delimiter=" "),
                n32=node("PrimitiveString", value="at dusk"),
            ),
            PLAIN,
        ),
        (
            graph(
                n8=node("ConditioningCombine", conditioning_1=["6", 0], conditioning_2=["9", 0]),
                n9=node("CLIPTextEncode", text="with gulls"),
                sampler={"positive": ["8", 0]},
            ),
            ("a lighthouse at dusk, with gulls", *PLAIN[1:]),
        ),
        (
            graph(n8=node("ConditioningZeroOut", conditioning=["6", 0]), sampler={"negative": ["8", 0]}),
            ("a lighthouse at dusk", "", *PLAIN[2:]),
        ),
        (graph(n10=REFINER, n15=node("CLIPTextEncode", text="details")), PLAIN),  # a second pass over the same picture
        (graph(n10=copy.deepcopy(GRAPH["3"])), PLAIN),  # two samplers that agree
        (
            graph(n9=EFFICIENT, sampler={"positive": ["9", 1], "negative": ["9", 2]}),
            PLAIN,
        ),
        (graph(n5=node("RepeatLatentBatch", samples=["50", 0]), n50=GRAPH["5"]), PLAIN),
        (graph(n5=node("EmptyLatentImage", width=["51", 0], height=1024), n51=node("Int", value=1024)), PLAIN),
    ],
)
def test_graphs_are_followed_from_the_sampler(text: str, expected: tuple[object, ...]) -> None:
    """Links lead through outputs, guiders and text nodes to the texts, the seed and the size."""
    found = read(prompt=text)
    assert told(found) == expected
    assert (found.dialect, found.model) == ("ComfyUI", "sd.safetensors")
    assert not any("not understood" in note for note in found.notes)
    in_webp = encoded(kind="WEBP", exif=exif(model=f"prompt:{text}"))
    assert read_foreign(in_webp) == found
    in_jpeg = encoded(kind="JPEG", exif=exif(comment=b"UNICODE\0" + json.dumps({"prompt": json.loads(text)}).encode()))
    assert read_foreign(in_jpeg) == found


@pytest.mark.parametrize(
    ("text", "note"),
    [
        (
            graph(n6=node("CLIPTextEncode", text=["31", 0]), n31=node("OllamaGenerate", prompt="improve: a boat")),
            "node 6",
        ),
        (
            graph(n6=node("CLIPTextEncode", text=["31", 0]), n31=node("Replace", text="a boat", find="a", replace="b")),
            "node 6 CLIPTextEncode: text",
        ),
        (graph(n8=node("MysteryNode", x=["6", 0]), sampler={"positive": ["8", 0]}), "node 8 MysteryNode"),
        (
            graph(
                n8=node("ConditioningConcat", conditioning_to=["6", 0], conditioning_from=["9", 0]),
                n9=node("Mystery"),
                sampler={"positive": ["8", 0]},
            ),
            "node 9 Mystery.*found on the way: a lighthouse at dusk",
        ),
        (graph(sampler={"positive": ["99", 0]}), "node 99"),
        (graph(n8=CONTROL, sampler={"positive": ["8", 2]}), "prompt is not understood"),
        (graph(without="3", n12=node("MysteryGuider", x=["6", 0]), **CUSTOM), "node 12 MysteryGuider"),
        (
            graph(
                n10=node("KSampler", positive=["15", 0], latent_image=["5", 0]),
                n15=node("CLIPTextEncode", text="a boat"),
            ),
            "2 samplers have different texts.*a lighthouse at dusk | a boat",
        ),
        (graph(without="3"), "6 nodes|5 nodes.*no sampler that is known .*CLIPTextEncode"),
        (json.dumps({"nodes": [1, 2], "links": [], "version": 0.4}), "workflow of 2 nodes"),
        (graph(n6=node("Reroute", x=["6", 0])), ""),
    ],
)
def test_what_is_not_understood_is_said(text: str, note: str) -> None:
    """One unknown node on the way leaves the text empty, with a note on what was found and what was not."""
    found = read(prompt=text)
    assert found.prompt == ""
    assert re.search(note, " · ".join(found.notes)), found.notes


def test_graphs_that_are_made_to_grow_end_soon() -> None:
    """Every output is looked at once: a doubling chain or a circle costs nothing."""
    chain = {
        f"n{n}": node("ConditioningCombine", conditioning_1=[f"{n + 1}", 0], conditioning_2=[f"{n + 1}", 0])
        for n in range(100, 400)
    }
    found = read(prompt=graph(sampler={"positive": ["100", 0]}, **chain, n400=GRAPH["6"]))
    assert found.prompt == "a lighthouse at dusk"
    strings = {f"n{n}": node("Concat", text_a=[f"{n + 1}", 0], text_b=[f"{n + 1}", 0]) for n in range(100, 160)}
    assert read(prompt=graph(n6=node("CLIPTextEncode", text=["100", 0]), **strings)).prompt == ""


@pytest.mark.parametrize(
    "text",
    ["\n" * 10**6, " " * 10**6, "Steps: 1 " * 10**5, "\nSteps: 1" * 10**5, 'a:"' * 10**5, "[" * 10**6, "a: " * 10**5],
)
def test_texts_that_are_made_to_take_long_end_soon(text: str) -> None:
    """Hostile texts of a megabyte cost no more than others."""
    from_parameters(text)
    for keyword in ("Dream", "parameters", "Comment", "sd-metadata"):
        read_foreign(png_with_texts(**{keyword: text}))


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from([["6", 0], ["3", 0]]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
NAMES = st.sampled_from(
    sorted({*GRAPH["3"]["inputs"], *GRAPH["5"]["inputs"], *INVOKE, *FOOOCUS, "text", "guider", "image"})
)


@given(changes=st.dictionaries(NAMES, JSON, max_size=4), key=st.sampled_from(sorted(GRAPH)), text=st.text(max_size=60))
def test_arbitrary_json_never_crashes(changes: dict[str, object], key: str, text: str) -> None:
    """Any object under any name gives metadata or nothing."""
    from_parameters(text)
    made = copy.deepcopy(GRAPH)
    made[key]["inputs"] |= changes
    for keyword, data in (("prompt", made), ("invokeai_metadata", {**INVOKE, **changes}), ("parameters", changes)):
        read_foreign(png_with_texts(**{keyword: json.dumps(data)}))
    for data in (
        {**OLD_INVOKE, "image": changes},
        {**SWARM, "sui_image_params": changes},
        {**NOVEL_4, "v4_prompt": changes},
    ):
        read_foreign(png_with_texts(parameters=json.dumps(data)))
