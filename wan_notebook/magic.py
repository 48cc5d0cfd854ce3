"""``%wan`` and ``%%wan`` in IPython: what loading registers. What a cell does is in ``runner``, imported on first use.

The magics take their line as it stands (``no_var_expand``): IPython would expand ``{…}`` and ``$…`` before us.
"""

from __future__ import annotations

from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from IPython.core.magic import Magics, magics_class, no_var_expand

from .transform import transform_lines

if TYPE_CHECKING:  # heavy: loaded by the first cell, not by %load_ext
    from .runner import Runner


@magics_class
class WanMagics(Magics):
    """The two magics; both only hand over."""

    @cached_property
    def runner(self) -> Runner:
        """What runs cells and commands."""
        from .runner import Runner

        return Runner(self.shell)

    @no_var_expand
    def on_line(self, line: str) -> Any:
        """Make pictures with Wan 2.6 Image, one line: ``%wan`` tells where you stand, ``%wan?`` shows all commands."""
        return self.runner.line(line)

    @no_var_expand
    def on_cell(self, line: str, body: str) -> None:
        """Make pictures with Wan 2.6 Image: the cell's text is the prompt."""
        self.runner.cell(line, body)


class Extension:
    """What loading registers with a shell, and unloading takes back."""

    def __init__(self, shell: Any) -> None:
        self.shell = shell
        self.magics = WanMagics(shell)
        self._matcher = _matcher(shell, self.magics)
        self._hooks = (("pre_run_cell", self._before_cell), ("post_run_cell", self._after_cell))

    def load(self) -> None:
        """Register magics, completion and the input transformer; say in a line what is open."""
        _document()
        self.shell.register_magic_function(self.magics.on_line, "line", "wan")
        self.shell.register_magic_function(self.magics.on_cell, "cell", "wan")
        if self.shell.Completer is not None:
            self.shell.Completer.custom_matchers.append(self._matcher)
        self.shell.input_transformers_cleanup.append(transform_lines)
        for event, hook in self._hooks:
            self.shell.events.register(event, hook)
        self._greet()

    def unload(self) -> None:
        """Take everything back; jobs on the service go on."""
        for kind in ("line", "cell"):
            self.shell.magics_manager.magics[kind].pop("wan", None)
        if self.shell.Completer is not None and self._matcher in self.shell.Completer.custom_matchers:
            self.shell.Completer.custom_matchers.remove(self._matcher)
        if transform_lines in self.shell.input_transformers_cleanup:
            self.shell.input_transformers_cleanup.remove(transform_lines)
        for event, hook in self._hooks:
            with suppress(ValueError):  # somebody else took it back
                self.shell.events.unregister(event, hook)
        if "runner" in vars(self.magics):
            self.magics.runner.close()

    def _before_cell(self, _info: object) -> None:
        if "runner" in vars(self.magics):  # before that there is no job
            self.magics.runner.before_cell()

    def _after_cell(self, _result: object) -> None:
        if "runner" in vars(self.magics):
            self.magics.runner.after_cell()

    def _greet(self) -> None:
        from .greeting import open_jobs_line, opens_jobs

        if line := open_jobs_line(Path.cwd()):
            print(line)  # noqa: T201 - in the cell that loads the extension
            if opens_jobs():
                self.magics.runner.resume()


def _document() -> None:
    """Let ``%wan?`` and ``%%wan?`` show the whole help."""
    from .usage import help_text

    for method in (WanMagics.on_line, WanMagics.on_cell):
        method.__doc__ = help_text()


def _matcher(shell: Any, magics: WanMagics) -> Any:
    from IPython.core.completer import CompletionContext, SimpleCompletion, context_matcher

    def wan_matcher(context: CompletionContext) -> Any:
        from .completion import complete

        line = context.line_with_cursor
        jobs = magics.runner.known_ids() if "runner" in vars(magics) else ()
        found = complete(line, len(line), shell.user_ns, jobs)
        return {
            "completions": [SimpleCompletion(text=text, type="wan") for text in found.candidates],
            "matched_fragment": found.matched_fragment,
            "suppress": bool(found.candidates),
            "ordered": True,
        }

    return context_matcher()(wan_matcher)  # called, not written above it: IPython ships it without types
