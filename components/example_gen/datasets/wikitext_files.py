"""Reads the WikiText files: each article is a document.

WikiText-2 and WikiText-103 have a builder each: one builder with two configurations would be called `wikitext/2`, and
neither `example_gen.dataset` nor prepared copies of the data sets would be found under their names.
"""

import re
from collections.abc import Iterable, Iterator

from components.example_gen.lines import LineRun, file_runs

_TITLE = re.compile(rb" = (?!= ).*(?<! =) = \s*")


def article_runs(lines: Iterable[bytes], file_name: str) -> Iterator[LineRun]:
    """Cuts a file before each ` = Title = ` that follows a blank line; titles of sections have more equals signs.

    Args:
        lines: Lines of the file.
        file_name: Name of the file. Articles are named `file:line` (counted from 1), because titles are not unique.

    Yields:
        The runs of each article in order; blank lines belong to the article before them, as published.
    """
    article: list[bytes] = []
    start, after_blank = 0, True
    for number, line in enumerate(lines):
        if after_blank and article and _TITLE.fullmatch(line) and any(not held.isspace() for held in article):
            yield from file_runs(article, f"{file_name}:{start + 1}")
            article, start = [], number
        article.append(line)
        after_blank = line.isspace()
    yield from file_runs(article, f"{file_name}:{start + 1}")
