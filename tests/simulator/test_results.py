"""Result files, as object storage serves them (WAN_API §4)."""

from __future__ import annotations

import io
from xml.etree import ElementTree as ET

import pytest
from PIL import Image

from wan_notebook.simulator import core
from wan_notebook.simulator.signing import RESULTS_PATH

PICTURE = b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 4


@pytest.fixture
def files(make_caller):
    """A caller whose every result is the same few bytes."""
    return make_caller(fixed_picture=PICTURE)


@pytest.fixture
def url(files, request_of):
    """The URL of a finished picture."""
    task_id = files.task("gateway", request_of(max_images=1))
    files.clock.advance(10)
    return files.result_urls("gateway", task_id)[0]


def code_of(response):
    """Read the code out of the XML error of object storage."""
    return ET.fromstring(response.content).findtext("Code")  # noqa: S314 (our own)


def test_a_file_is_served_without_a_key(files, url):
    """The signed URL is enough; length, type, validator and range support are declared."""
    response = files.fetch(url)
    assert response.status_code == 200
    assert response.content == PICTURE
    assert response.headers["content-type"] == "image/png"
    assert response.headers["content-length"] == str(len(PICTURE))
    assert response.headers["accept-ranges"] == "bytes"
    assert response.headers["etag"].startswith('"')
    assert files.simulator.images_served == 1
    assert files.simulator.keys_leaked == []


def test_a_key_sent_to_the_storage_is_noted(files, url):
    """A test can see that a client leaked its key, though never the key itself."""
    files.fetch(url, Authorization="Bearer sk-secret")
    assert len(files.simulator.keys_leaked) == 1
    assert "sk-secret" not in repr(files.simulator.keys_leaked)


def test_head_tells_the_length(files, url):
    """HEAD has the headers of GET and no body, and counts as no picture served."""
    response = files.fetch(url, method="HEAD")
    assert response.headers["content-length"] == str(len(PICTURE))
    assert response.content == b""
    assert files.simulator.images_served == 0


@pytest.mark.parametrize(
    ("asked", "first", "last"),
    [("bytes=0-9", 0, 9), ("bytes=500-", 500, 1031), ("bytes=-32", 1000, 1031), ("bytes=1000-9999", 1000, 1031)],
)
def test_ranges(files, url, asked, first, last):
    """One range is answered with 206, Content-Range and just those bytes."""
    response = files.fetch(url, Range=asked)
    assert response.status_code == 206
    assert response.headers["content-range"] == f"bytes {first}-{last}/{len(PICTURE)}"
    assert response.content == PICTURE[first : last + 1]


@pytest.mark.parametrize("asked", ["bytes=5000-", "bytes=-0"])
def test_a_range_beyond_the_end_is_a_416(files, url, asked):
    """A range that no byte satisfies says how long the file is."""
    response = files.fetch(url, Range=asked)
    assert response.status_code == 416
    assert response.headers["content-range"] == f"bytes */{len(PICTURE)}"


@pytest.mark.parametrize("asked", ["bytes=0-1,5-6", "items=0-1", "bytes=-"])
def test_ranges_that_are_not_understood_are_ignored(files, url, asked):
    """Several ranges or other units give the whole file."""
    assert files.fetch(url, Range=asked).status_code == 200


def test_if_range_guards_a_resumed_download(files, url):
    """The range is served if the validator still matches, the whole file if not."""
    etag = files.fetch(url).headers["etag"]
    assert files.fetch(url, Range="bytes=10-", If_Range=etag).status_code == 206
    assert files.fetch(url, Range="bytes=10-", If_Range='"other"').status_code == 200


def test_a_resumed_download_counts_when_it_reaches_the_end(files, url):
    """images_served counts pictures delivered to their last byte."""
    files.fetch(url, Range="bytes=0-99")
    assert files.simulator.images_served == 0
    files.fetch(url, Range="bytes=100-")
    assert files.simulator.images_served == 1


def test_a_url_ends_after_24_hours(files, url):
    """A day after the task was finished the file is gone, in the storage's words."""
    files.clock.advance(24 * 3600 - 1)
    assert files.fetch(url).status_code == 200
    files.clock.advance(2)
    response = files.fetch(url)
    assert response.status_code == 403
    assert response.headers["content-type"].startswith("application/xml")
    assert code_of(response) == "AccessDenied"


@pytest.mark.parametrize("change", ["unsigned", "forged", "another index", "unfinished", "no such task"])
def test_only_urls_that_were_given_out_work(files, request_of, url, change):
    """Without its signature, or for another picture, a URL opens nothing."""
    path, query = url.split("?")
    pending = files.task("gateway", request_of(max_images=1))
    pending_task = files.simulator.find_any(pending)
    other = {
        "unsigned": path,
        "forged": f"{path}?{query[:-6]}AAAA%3D",
        "another index": url.replace("/0.png", "/1.png"),
        "unfinished": files.simulator.signer.path(pending_task, 0),
        "no such task": f"{RESULTS_PATH}none/0.png?{query}",
    }[change]
    assert files.fetch(other).status_code in (403, 404)
    assert files.simulator.images_served == 0


def test_urls_follow_the_host_that_was_asked(files, request_of):
    """Behind another name or port, the URLs carry that name and port."""
    task_id = files.task("gateway", request_of(max_images=1))
    files.clock.advance(10)
    reply = files.get(f"/model/v1/generation/task/{task_id}", Host="pictures.example:8443").json()
    assert "http://pictures.example:8443/results/" in str(reply)


class TestPictures:
    """What is in the files."""

    def fetch(self, caller, document):
        """Run a task and return its pictures' bytes."""
        task_id = caller.task("gateway", document)
        caller.clock.advance(10)
        return [caller.fetch(url).content for url in caller.result_urls("gateway", task_id)]

    def test_same_request_and_seed_give_the_same_bytes(self, make_caller, request_of, data_url):
        """Pictures depend on request, seed and index alone, whichever simulator makes them."""
        for document in (request_of(max_images=1), request_of(images=[data_url()], n=2)):
            assert self.fetch(make_caller(), document) == self.fetch(make_caller(), document)

    def test_seed_prompt_and_index_change_the_picture(self, caller, request_of, data_url):
        """Another seed, another prompt or another place in the batch is another picture."""
        batch = self.fetch(caller, request_of(images=[data_url()], n=2))
        other_seed = self.fetch(caller, request_of(images=[data_url()], n=1, seed=6))
        other_text = self.fetch(caller, request_of("gateway", "a bear", [data_url()], n=1))
        assert len({*batch, *other_seed, *other_text}) == 4

    def test_the_count_does_not_change_a_picture_but_its_caption(self, caller, request_of, data_url):
        """The first of two is the same scene as the only one."""
        one = self.fetch(caller, request_of(images=[data_url()], n=1))[0]
        first = self.fetch(caller, request_of(images=[data_url()], n=2))[0]
        crop = (0, 0, 1280, 700)
        assert Image.open(io.BytesIO(one)).crop(crop).tobytes() == Image.open(io.BytesIO(first)).crop(crop).tobytes()

    @pytest.mark.parametrize(
        ("size", "expected"), [("1K", (1472, 1104)), ("2K", (2368, 1776)), ("800*1200", (800, 1200))]
    )
    def test_pictures_have_the_size_of_the_rules(self, caller, request_of, data_url, size, expected):
        """A result is an RGB PNG of the size that the rules give."""
        (content,) = self.fetch(caller, request_of(images=[data_url((640, 480))], size=size, n=1))
        with Image.open(io.BytesIO(content)) as picture:
            picture.load()
            assert (picture.format, picture.mode, picture.size) == ("PNG", "RGB", expected)

    def test_an_edit_derives_from_its_inputs(self, caller, request_of, data_url):
        """Other inputs give another picture, and a dark input a darker one."""
        means = []
        for mode in ("L", "RGB"):
            (content,) = self.fetch(caller, request_of(images=[data_url(mode=mode)], n=1))
            means.append(content)
        assert means[0] != means[1]

    def test_an_illustrated_text_makes_at_most_what_was_asked(self, caller, request_of):
        """max_images is an upper limit; at least one picture comes."""
        made = set()
        for seed in range(40):
            task_id = caller.task("gateway", request_of(max_images=5, seed=seed))
            caller.clock.advance(10)
            made.add(len(caller.result_urls("gateway", task_id)))
        assert made == {2, 3, 4, 5}
        assert len(self.fetch(caller, request_of(max_images=1, size="768*768"))) == 1

    def test_few_pictures_are_kept_in_memory(self, caller, request_of, monkeypatch):
        """Painted files are kept for the next request, but only the last few."""
        painted = []
        monkeypatch.setattr(core, "paint_png", lambda _order, index, _inputs: painted.append(index) or b"picture")
        for _ in range(core.KEPT_PICTURES + 3):
            task_id = caller.task("gateway", request_of(max_images=1))
            caller.clock.advance(10)
            (url,) = caller.result_urls("gateway", task_id)
            assert [caller.fetch(url).content for _ in range(2)] == [b"picture"] * 2
        assert len(painted) == core.KEPT_PICTURES + 3
        assert len(caller.simulator._pictures) == core.KEPT_PICTURES

    def test_fewer_is_a_word_away(self, caller, request_of, data_url):
        """A prompt can ask for one picture fewer than n."""
        assert len(self.fetch(caller, request_of("gateway", "[[fewer]]", [data_url()], n=3))) == 2

    def test_hostile_prompts_are_drawn(self, caller, request_of):
        """Control characters, other scripts and endless words are no reason to fail."""
        for text in ("\x00\x1b[31m\u202e", "狐狸在雪地里", "a" * 2000, "שלום 🦊", "one\ntwo\tthree"):
            assert self.fetch(caller, request_of(text=text, max_images=1, size="768*768"))
