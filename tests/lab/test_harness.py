"""The harness itself: no error of a page stays unseen."""

from tests.lab.harness import Lab

BOO = "from IPython.display import Javascript; Javascript('setTimeout(() => { throw Error(\"boo\") })')"


def test_an_uncaught_script_error_is_noticed(lab: Lab) -> None:
    """A script that fails in the page cannot pass unseen; forgiving is by pattern."""
    lab.write("a.ipynb", [BOO])
    lab.open("a.ipynb")
    lab.run_all()
    lab.page.wait_for_timeout(300)
    assert any("boo" in error for error in lab.uncaught())
    lab.forgive("^boo$")
    assert lab.uncaught() == []
