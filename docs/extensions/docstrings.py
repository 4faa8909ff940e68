"""Has the API page render two things of Keras's docstring style: examples that are not indented, and call arguments."""

import re

import griffe

EXAMPLE = re.compile(r"^>>> .*(?:\n.+)*", re.MULTILINE)
CALL_ARGUMENTS = re.compile(r"^Call arguments:\n((?: {4}.*\n?)+)", re.MULTILINE)
ARGUMENT = re.compile(r"^ {4}(\w+):", re.MULTILINE)


class KerasDocstrings(griffe.Extension):
    """Turns both into plain Markdown, in the copy of the docstring that is rendered."""

    def on_instance(self, *, obj: griffe.Object, **kwargs) -> None:
        if obj.docstring:
            text = EXAMPLE.sub(lambda found: f"```pycon\n{found[0]}\n```", obj.docstring.value)
            obj.docstring.value = CALL_ARGUMENTS.sub(_list, text)


def _list(found: re.Match) -> str:
    return "**Call arguments:**\n\n" + ARGUMENT.sub(r"- `\1`:", found[1])
