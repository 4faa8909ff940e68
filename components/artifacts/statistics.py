"""ExampleStatistics and ExampleAnomalies: `Split-<split>/statistics.json`, `sources.json` and `anomalies.json`."""

from typing import NotRequired

from typing_extensions import TypedDict

from components.artifacts.document import Document


class LargestDocument(TypedDict):
    """The largest document of a split.

    Attributes:
        name: The document's name.
        bytes: Its bytes.
        share: Its share of the split's bytes.
    """

    name: str
    bytes: int
    share: float


class LongestLine(TypedDict):
    """The longest line of a split.

    Attributes:
        bytes: Its bytes.
        document: Its document.
        line: Its number in the document, from 1.
        text: Its first characters.
    """

    bytes: int
    document: str
    line: int
    text: str


class LineLength(TypedDict):
    """The number of words of the lines of a split.

    Bin i counts lines of `edges[i]` to `edges[i + 1] - 1` words, the last bin all longer ones.
    """

    mean: float
    median: int
    max: int
    edges: list[int]
    counts: list[int]


class Overlap(TypedDict):
    """The number of lines that are also in the train split, and their share of the lines that are not blank."""

    lines: int
    share: float


class TokenizerOptions(TypedDict):
    """The tokenizer settings with which the words were counted."""

    tokenizer: str
    lowercase: bool
    keep_blank_lines: bool


class SplitStatistics(TypedDict):
    """What StatisticsGen counted in a split. The train split has no `overlap_with_train` and no `shared_lines`."""

    split: str
    tokenizer: TokenizerOptions
    documents: int
    bytes: int
    characters: int
    lines: int
    blank_lines: int
    tokens: int
    unk_tokens: int
    unk_share: float
    invalid_bytes: int
    invalid_fraction: float
    nul_bytes: int
    largest_document: LargestDocument
    longest_line: LongestLine
    scripts: dict[str, int]
    line_length: LineLength
    duplicated_lines: int
    duplicated_share: float
    overlap_with_train: NotRequired[Overlap]
    shared_lines: NotRequired[list[str]]


class SourceFile(TypedDict):
    """A text file with bytes that are not text: its size, and how many bytes are not UTF-8 or are zero."""

    bytes: int
    invalid_bytes: int
    nul_bytes: int


class Sources(TypedDict):
    """What ExampleGen noticed about the corpus's files.

    Attributes:
        skipped: Name -> reason of each file that could not be read.
        outside: Number of files that lie outside the data folder, behind a link.
        files: Name -> counts of each file with bytes that are not text.
    """

    skipped: dict[str, str]
    outside: int
    files: dict[str, SourceFile]


class Anomalies(TypedDict):
    """The errors and warnings that ExampleValidator reports, as sentences."""

    errors: list[str]
    warnings: list[str]


STATISTICS = Document("statistics.json", SplitStatistics, "StatisticsGen")
SOURCES = Document("sources.json", Sources, "ExampleGen")  # written only if there is something to report
ANOMALIES = Document("anomalies.json", Anomalies, "ExampleValidator")
