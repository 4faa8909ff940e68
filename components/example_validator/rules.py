"""The rules: each checks the statistics and yields a sentence, with examples, if its limit is broken.

A figure that is missing, because the statistics are older than the rule, breaks no rule.
"""

import math
from collections.abc import Iterator, Mapping
from typing import Any

MIN_DOCUMENTS = 10  # with fewer documents, a large share of one document is normal
MIN_NULS = 16  # a few stray NUL bytes are not a sign of a binary file
KNOWN_SCRIPT = 0.01  # share of train's letters from which a script counts as known
COMPARED_WORDS = 1000  # number of most frequent words of both runs; all others count as one word
SHOWN = 3  # number of examples in a sentence

Statistics = Mapping[str, Any]


def empty(split: str, counts: Statistics) -> Iterator[str]:
    """Reports a split without tokens, which no limit allows.

    Args:
        split: The split's name.
        counts: The split's statistics.
    """
    if counts["tokens"] == 0:
        yield (
            f"The {split} split is empty: {counts['bytes']:,} bytes of text without a token. "
            "Check example_gen.data_dir and example_gen.pattern: give more text, or a file for this split."
        )


def invalid_bytes(split: str, counts: Statistics, limit: float) -> Iterator[str]:
    """Reports a split with too many bytes that are not UTF-8.

    Args:
        split: The split's name.
        counts: The split's statistics.
        limit: Largest share of the split's bytes, 0 to 1.
    """
    if counts["invalid_fraction"] > limit:
        hint = " Its NUL bytes suggest UTF-16 or binary files." if counts["nul_bytes"] else ""
        yield (
            f"The {split} split has {counts['invalid_bytes']:,} bytes that are not UTF-8, "
            f"{counts['invalid_fraction']:.2%} of {counts['bytes']:,}; example_validator.max_invalid_fraction "
            f"allows {limit:.2%}.{hint} Convert the files to UTF-8, leave out binary ones, or raise the limit."
        )


def invalid_files(files: Mapping[str, Mapping[str, int]], limit: float) -> Iterator[str]:
    """Reports files with too many bytes that are not text.

    In a large corpus, a binary file is a small share of its split, so files are judged one by one.

    Args:
        files: Name -> `bytes`, `invalid_bytes` and `nul_bytes` of each file that has such bytes.
        limit: Largest share of a file's bytes, 0 to 1.
    """
    shares = {name: _not_text(file) / max(1, file["bytes"]) for name, file in files.items()}
    bad = sorted((name for name in files if shares[name] > limit), key=lambda name: (-shares[name], name))
    if bad:
        some = _some([f"{name} ({shares[name]:.1%} of {files[name]['bytes']:,} bytes)" for name in bad])
        yield (
            f"{len(bad):,} file(s) with more bytes that are not UTF-8 text than example_validator.max_invalid_fraction "
            f"allows, {limit:.2%} of a file: {some}. Convert them to UTF-8, leave them out, or raise the limit."
        )


def _not_text(file: Mapping[str, int]) -> int:
    return file["invalid_bytes"] + (file["nul_bytes"] if file["nul_bytes"] >= MIN_NULS else 0)


def tokens(split: str, counts: Statistics, limit: int) -> Iterator[str]:
    """Reports a split with too few tokens.

    Args:
        split: The split's name.
        counts: The split's statistics.
        limit: Smallest number of tokens.
    """
    if 0 < counts["tokens"] < limit:
        yield (
            f"The {split} split has {counts['tokens']:,} tokens, fewer than example_validator.min_tokens, {limit:,}: "
            "its perplexity says little. Give it more text."
        )


def unknown(split: str, counts: Statistics, limit: float) -> Iterator[str]:
    """Reports a split with too many tokens that are written `<unk>` in the text.

    Args:
        split: The split's name.
        counts: The split's statistics.
        limit: Largest share of the split's tokens, 0 to 1.
    """
    if counts.get("unk_share", 0) > limit:
        yield (
            f"{counts['unk_share']:.1%} of the {split} split's tokens ({counts['unk_tokens']:,}) are <unk> in the "
            f"text, more than example_validator.max_unk_share, {limit:.1%}: they dominate its perplexity. Use the text "
            "before its rare words were replaced."
        )


def overlap(split: str, counts: Statistics, limit: float) -> Iterator[str]:
    """Reports a split with too many lines that the train split has, too.

    Args:
        split: The split's name.
        counts: The split's statistics.
        limit: Largest share of the split's lines that are not blank, 0 to 1.
    """
    shared = counts.get("overlap_with_train", {"share": 0})
    if shared["share"] > limit:
        examples = f" For example: {_some(counts['shared_lines'])}" if counts.get("shared_lines") else ""
        yield (
            f"{shared['share']:.1%} of the {split} split's lines ({shared['lines']:,}) are also in the train split, "
            f"more than example_validator.max_overlap, {limit:.1%}: its perplexity will look better than on new "
            f"text.{examples}"
        )


def document_share(split: str, counts: Statistics, limit: float) -> Iterator[str]:
    """Reports a split of `MIN_DOCUMENTS` documents or more in which one document is too large.

    Args:
        split: The split's name.
        counts: The split's statistics.
        limit: Largest share of one document in the split's bytes, 0 to 1.
    """
    largest = counts.get("largest_document", {"share": 0})
    if largest["share"] > limit and counts["documents"] >= MIN_DOCUMENTS:
        yield (
            f"The document {largest['name']} is {largest['share']:.1%} of the {split} split's text, "
            f"{largest['bytes']:,} bytes of {counts['bytes']:,} in {counts['documents']:,} documents; "
            f"example_validator.max_document_share allows {limit:.1%}. Leave it out or cut it."
        )


def long_line(split: str, counts: Statistics, limit: int) -> Iterator[str]:
    """Reports a split whose longest line is too long.

    Args:
        split: The split's name.
        counts: The split's statistics.
        limit: Largest length of a line, in bytes.
    """
    longest = counts.get("longest_line", {"bytes": 0})
    if longest["bytes"] > limit:
        yield (
            f"The {split} split has a line of {longest['bytes']:,} bytes, more than example_validator.max_line_bytes, "
            f"{limit:,}: {longest['document']}, line {longest['line']:,}, which begins {longest['text']!r}. "
            "Check whether it is text. Break it or leave it out."
        )


def foreign_script(split: str, counts: Statistics, train: Statistics, limit: float) -> Iterator[str]:
    """Reports a split with too many letters of scripts that the train split hardly has.

    Args:
        split: The split's name.
        counts: The split's statistics.
        train: Statistics of the train split.
        limit: Largest share of the split's letters, 0 to 1.
    """
    scripts, known = counts.get("scripts"), train.get("scripts")
    if not scripts or not known:
        return
    letters, known_letters = sum(scripts.values()), sum(known.values())
    foreign = {name: count for name, count in scripts.items() if known.get(name, 0) < KNOWN_SCRIPT * known_letters}
    share = sum(foreign.values()) / letters
    if share > limit:
        some = _some([f"{name.capitalize()} ({count / letters:.1%})" for name, count in foreign.items()])
        yield (
            f"{share:.1%} of the {split} split's letters belong to scripts that the train split hardly has: {some}; "
            f"example_validator.max_foreign_script allows {limit:.1%}. Check whether it is text of another language."
        )


def drift(
    now: Mapping[bytes, int], before: Mapping[bytes, int], totals: tuple[int, int], limit: float
) -> Iterator[str]:
    """Reports that train's words differ too much from those of the previous run.

    Args:
        now: Frequent words of this run, with their counts.
        before: Frequent words of the previous run, with their counts.
        totals: Number of tokens of both.
        limit: Largest Jensen-Shannon distance, 0 to 1.
    """
    distance = jensen_shannon(now, before, totals)
    if distance > limit:
        shares = {word: now.get(word, 0) / totals[0] - before.get(word, 0) / totals[1] for word in now.keys() | before}
        moved = sorted(shares, key=lambda word: (-abs(shares[word]), word))[:SHOWN]
        some = ", ".join(f"{word.decode('utf-8', 'replace')} ({shares[word]:+.2%})" for word in moved)
        yield (
            f"The train split's words are distributed differently than in the previous run: the Jensen-Shannon "
            f"distance is {distance:.3f}, and example_validator.max_drift allows {limit:.3f}. What changed most: "
            f"{some}. If the corpus was changed on purpose, ignore this."
        )


def jensen_shannon(now: Mapping[bytes, int], before: Mapping[bytes, int], totals: tuple[int, int]) -> float:
    """Computes the Jensen-Shannon distance of two word distributions, from 0 (equal) to 1.

    Args:
        now: Frequent words of one distribution, with their counts.
        before: Frequent words of the other, with their counts.
        totals: Number of tokens of both. Tokens of all other words count as one word.
    """
    words = set(list(now)[:COMPARED_WORDS]) | set(list(before)[:COMPARED_WORDS])
    pairs = [(now.get(word, 0) / totals[0], before.get(word, 0) / totals[1]) for word in words]
    pairs.append(tuple(max(0.0, 1 - sum(pair[side] for pair in pairs)) for side in (0, 1)))
    divergence = 0.0
    for pair in pairs:
        middle = sum(pair) / 2
        divergence += sum(share / 2 * math.log2(share / middle) for share in pair if share > 0)
    return math.sqrt(min(1.0, max(0.0, divergence)))


def skipped(names: Mapping[str, str], limit: int) -> Iterator[str]:
    """Reports skipped entries of the data folder.

    Args:
        names: Name -> reason of each entry that was skipped.
        limit: Largest number of skipped entries.
    """
    if len(names) > limit:
        some = _some([f"{name} ({reason})" for name, reason in names.items()])
        yield (
            f"{len(names):,} of the data folder's entries could not be read and were skipped, more than "
            f"example_validator.max_skipped_files, {limit:,}: {some}."
        )


def _some(items: list[str]) -> str:
    more = f" and {len(items) - SHOWN:,} more" if len(items) > SHOWN else ""
    return ", ".join(items[:SHOWN]) + more
