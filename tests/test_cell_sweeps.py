"""Several seeds, and the shape of another picture: what a cell makes of ``--seed`` and ``--like``."""

from __future__ import annotations

import pytest

from tests.cell_names import notebook, problems_of
from wan_notebook.catalog import TASKS_PER_CALL_MAX
from wan_notebook.cell import read_cell


@pytest.fixture
def names():
    """A notebook's variables."""
    return notebook()


@pytest.mark.parametrize(
    ("line", "seeds"),
    [
        ("--seed 5", [5]),
        ("--seed 5..8", [5, 6, 7, 8]),
        ("--seed 5...7", [5, 6, 7]),
        ("--seed 5…7", [5, 6, 7]),
        ("--seed 9,5,12", [9, 5, 12]),
        ("--seed 9, 5, 12", [9, 5, 12]),
        ("--seed 1..3,9", [1, 2, 3, 9]),
        ("--seed seeds", [3, 4, 5]),
        ("--seed range(0,30,10)", [0, 10, 20]),
        ("--seed count..count+1", [3, 4]),
        ("--seed [count, 8]", [3, 8]),
        ("--seed (1, 2)", [1, 2]),
        ("--seed (s for s in seeds)", [3, 4, 5]),
        ("--seed None", [None]),
        ("", [None]),
    ],
)
def test_seeds_make_one_request_each_in_order(names, line, seeds):
    """A sweep is one request a seed, in the order that was asked."""
    call = read_cell(line, "a fox", names)
    assert [request.seed for request in call.requests] == seeds
    assert call.seeds_asked is (seeds != [None])


def test_a_seed_is_asked_once(names):
    """A doubled seed would be paid twice for the same picture."""
    call = read_cell("--seed 5,6,5", "a fox", names)
    assert [request.seed for request in call.requests] == [5, 6]
    assert "seed 5" in call.hints[0]


@pytest.mark.parametrize(
    ("line", "part"),
    [
        ("--seed -1", "0 to 2147483647"),
        ("--seed 2**31", "0 to 2147483647"),
        ("--seed 1.5", "whole number"),
        ("--seed True", "whole number"),
        ("--seed 'x'", "whole number"),
        ("--seed [1,'x']", "whole number"),
        ("--seed 5-8", "5..8"),
        ("--seed 8..5", "Write 5..8"),
        ("--seed 1..x", "no variable x"),
        ("--seed 1.5..3", "whole numbers"),
        ("--seed 5..", "both of its ends. Write 5..8"),
        ("--seed 5-", "Write a number, 5..8 or 5,9,12"),
        ("--seed zzz", "Write a number, 5..8 or 5,9,12"),
        ("--seed []", "no seed"),
        ("--seed {}", "dict"),
        ("--seed 10**5000", "too large"),
        ("--seed 1/0", "ZeroDivisionError"),
        ("--seed 0..2000000000", f"at most {TASKS_PER_CALL_MAX}"),
        ("--seed range(10**12)", f"at most {TASKS_PER_CALL_MAX}"),
        ("-n 2 --seed 5..8", "-n"),
        ("-i photo -n 4 --seed 1..51", "204"),
    ],
)
def test_a_seed_that_cannot_be_is_a_problem(names, line, part):
    """Seeds are counted and checked before anything is made of them."""
    assert part in problems_of(line, "a fox", names)


def test_seeds_far_enough_apart_may_have_several_pictures_each(names):
    """Without images ``-n`` counts up from each seed; only where that meets another seed it is an error."""
    call = read_cell("-n 2 --seed 5,9", "a fox", names)
    assert [(request.seed, request.n) for request in call.requests] == [(5, 2), (9, 2)]
    assert "collide" in problems_of("-n 5 --seed 5,9", "a fox", names)


def test_several_pictures_a_seed_are_for_editing(names):
    """In editing ``-n`` counts pictures of one task, so it goes with several seeds."""
    call = read_cell("-i photo -n 4 --seed 1..25", "a fox", names)
    assert len(call.requests) == 25
    assert {request.n for request in call.requests} == {4}


@pytest.mark.parametrize(
    ("line", "size"),
    [
        ("--like photo1 -i photo", "736*2208"),
        ("--like photo1 -i photo --size 1k", "736*2208"),
        ("--like photo1 -i photo --size 2K", "1168*3536"),
        ("--like photo1", "736*2208"),
        ("--like photo1 --interleave", "736*2208"),
        ("--like a3f[1]", "1472*1104"),
    ],
)
def test_like_sends_the_size_of_a_picture(names, line, size):
    """The shape of one picture at a tier becomes an explicit size."""
    call = read_cell(line, "a fox", names)
    assert call.requests[0].size == size
    assert call.like == line.split()[1]


@pytest.mark.parametrize(
    ("line", "parts"),
    [
        ("--like photo1 -i photo --size 16:9", ["like = photo1", "--size 16:9"]),
        ("--like photo1 -i photo --size 800x800", ["--size 800x800"]),
        ("--like photo1 --size 2K", ["1280×1280"]),
        ("--like [photo,photo1]", ["2 pictures"]),
        ("--like running", ["not finished", "%wan wait a3f9c2"]),
        ("--like animal", ["not an image"]),
        ("--like nobody", ["like = nobody", "no variable nobody"]),
    ],
)
def test_like_follows_one_known_picture(names, line, parts):
    """Where the size would be a guess, it is a problem instead."""
    for part in parts:
        assert part in problems_of(line, "a fox", names)
