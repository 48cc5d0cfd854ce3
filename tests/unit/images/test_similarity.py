"""Pictures can be compared: the same file, or the same look."""

from pathlib import Path
from types import SimpleNamespace

import pytest
from PIL import Image, ImageFilter

from tests.fakes.pictures import SWAPPED, decoded, encoded, exif, png_with_texts
from wan_notebook.images import assert_same_picture, assert_similar, distance

DATA = Path(__file__).parents[3] / "notebooks" / "data"


@pytest.fixture(scope="module")
def photo() -> Image.Image:
    """A photograph."""
    with Image.open(DATA / "astronaut.jpg") as picture:
        return picture.convert("RGB")


def test_metadata_does_not_count(tmp_path: Path) -> None:
    """A file with a text in it, the same without, and the bytes are one picture; other bytes of the pixels are not."""
    with_text = png_with_texts(parameters="a fox")
    (tmp_path / "a.png").write_bytes(with_text)
    for same in (with_text, tmp_path / "a.png", str(tmp_path / "a.png")):
        assert_same_picture(same, encoded(decoded(with_text)))
    (tmp_path / "no.png").write_text("no picture")
    for other in (encoded(decoded(with_text), compress_level=1), tmp_path / "no.png"):
        with pytest.raises(AssertionError, match="the pictures differ"):
            assert_same_picture(with_text, other)
    for kind in ("PNG", "JPEG"):  # a colour profile is part of a picture
        data = encoded(kind=kind, icc_profile=SWAPPED)
        assert_same_picture(encoded(kind=kind, icc_profile=SWAPPED, exif=exif()), data)
        with pytest.raises(AssertionError):
            assert_same_picture(encoded(kind=kind), data)


def test_jobs_and_their_pictures_can_be_compared() -> None:
    """A picture of a job, or a job with one picture, stands for its bytes; of several, one must be named."""
    job_type = type("Job", (list,), {"id": "a3f9", "result": None, "images": None, "files": None})
    one = SimpleNamespace(data=encoded())
    assert_same_picture(job_type([one]), one)
    assert_similar(job_type([one]), encoded(), max_distance=0)
    for wrong, words in ((job_type([one, one]), "2 pictures"), (5, "int has no bytes")):
        with pytest.raises(TypeError, match=words):
            assert_same_picture(wrong, one)


def test_what_looks_the_same_is_near(photo: Image.Image) -> None:
    """Encoding, size, slight noise and blur keep a picture near itself."""
    assert distance(photo, photo) == 0
    small = photo.resize((photo.width // 3, photo.height // 3))
    blurred = photo.filter(ImageFilter.BoxBlur(2))
    for other in (encoded(photo, "JPEG", quality=60), encoded(photo, "WEBP"), small, blurred):
        assert_similar(photo, other)
        assert distance(photo, other) == distance(other, photo) < 0.06


def test_what_looks_different_is_far(photo: Image.Image) -> None:
    """Another picture, mirrored, negative, cropped or of other colours does not look alike."""
    red, green, blue = photo.split()
    others = [DATA / "coffee.jpg", photo.transpose(Image.Transpose.FLIP_LEFT_RIGHT)]
    others += [photo.point(lambda value: 255 - value), photo.crop((0, 0, photo.width // 2, photo.height))]
    for other in (*others, Image.merge("RGB", (blue, red, green)).point(lambda value: value // 2)):
        with pytest.raises(AssertionError, match="apart, more than"):
            assert_similar(photo, other)
