"""ExampleStatistics and ExampleAnomalies: `Split-<split>/statistics.json`, `sources.json` and `anomalies.json`."""

from typing import NotRequired

from typing_extensions import TypedDict

from components.artifacts.document import Document


class LargestDocument(TypedDict):
    """The largest document of a split; `share` of its bytes."""

    name: str
    bytes: int
    share: float


class LongestLine(TypedDict):
    """The longest line: its bytes, its document, its number there (from 1) and how it begins."""

    bytes: int
    document: str
    line: int
    text: str


class LineLength(TypedDict):
    """Words of the lines; bin i counts lines of `edges[i]` to `edges[i + 1] - 1` words, the last all longer ones."""

    mean: float
    median: int
    max: int
    edges: list[int]
    counts: list[int]


class Overlap(TypedDict):
    """Lines that are also in train, and their share of those that are not blank."""

    lines: int
    share: float


class TokenizerOptions(TypedDict):
    """How the words were cut."""

    tokenizer: str
    lowercase: bool
    keep_blank_lines: bool


class SplitStatistics(TypedDict):
    """What StatisticsGen counted in a split; `overlap_with_train` and `shared_lines` are not train's."""

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
    """A text file with bytes that are not text."""

    bytes: int
    invalid_bytes: int
    nul_bytes: int


class Sources(TypedDict):
    """What ExampleGen has to say of the corpus's files: those skipped and why, how many lie outside the data folder."""

    skipped: dict[str, str]
    outside: int
    files: dict[str, SourceFile]


class Anomalies(TypedDict):
    """What ExampleValidator found, in sentences."""

    errors: list[str]
    warnings: list[str]


STATISTICS = Document("statistics.json", SplitStatistics, "StatisticsGen")
SOURCES = Document("sources.json", Sources, "ExampleGen")  # where there is something to say
ANOMALIES = Document("anomalies.json", Anomalies, "ExampleValidator")
