"""Draws the lineage of a run from its source to the pushed version: a row for a component, a lane for an artifact.

The SVG is written here and not in a template, because almost every attribute is a computed coordinate. Each text that
comes from a run passes through `html.escape`.
"""

from collections.abc import Mapping, Sequence
from html import escape

ROW, LANE, LEFT, WIDTH = 46, 15, 12, 350
COLORS = 6  # CSS variables --lane-1 to --lane-6


def draw(components: Sequence[Mapping], source: str, pushed: str | None) -> str:
    """Draws the components' records in their order as one SVG element.

    Args:
        components: The components of a run's record.
        source: Text for what the first component read.
        pushed: Text for what was pushed, or None if nothing was.
    """
    rows = [{"name": source, "note": "source", "status": "outside", "inputs": {}}]
    rows += [_row(component) for component in components]
    rows.append({"name": pushed or "nothing pushed", "note": "served from here" if pushed else "",
                 "status": "outside" if pushed else "skipped", "inputs": {}})  # fmt: skip
    lanes = assign_lanes(components)
    box = LEFT + LANE * (1 + max((lane for lane, *_ in lanes.values()), default=0)) + 16
    parts = [_connection(rows, number, box) for number in (0, len(rows) - 2) if len(components)]
    for name, (lane, first, last, users) in lanes.items():
        parts.append(_artifact(name, lane, first, last, users, box))
    parts += [_box(row, number, box) for number, row in enumerate(rows)]
    label = "Lineage: each component, what it read and what it wrote"
    return (
        f'<svg class="lineage" role="img" aria-label="{label}" viewBox="0 0 {WIDTH} {ROW * len(rows) + 4}">'
        f"{''.join(parts)}</svg>"
    )


def _row(component: Mapping) -> dict:
    written = ", ".join(f"{key} #{artifact['artifact_id']}" for key, artifact in component["outputs"].items())
    return {"name": component["name"], "note": written, "status": component["status"], "inputs": component["inputs"]}


def assign_lanes(components: Sequence[Mapping]) -> dict[str, tuple[int, int, int, list[int]]]:
    """Assigns a lane to each artifact that is read, so that artifacts in use at the same time have different lanes.

    Args:
        components: The components of a run's record.

    Returns:
        Artifact's name -> (lane, row that wrote it, last row that reads it, all rows that read it).
    """
    written = {
        artifact["artifact_id"]: (number, f"{component['name']}.{key}, artifact #{artifact['artifact_id']}")
        for number, component in enumerate(components, start=1)
        for key, artifact in component["outputs"].items()
    }
    readers: dict[int, list[int]] = {}
    for number, component in enumerate(components, start=1):
        for artifact in component["inputs"].values():
            if artifact["artifact_id"] in written:
                readers.setdefault(artifact["artifact_id"], []).append(number)
    lanes, free_from = {}, []  # free_from[lane]: the row from which the lane is free again
    for artifact_id in sorted(readers, key=lambda number: (written[number][0], -max(readers[number]))):
        first, name = written[artifact_id]
        last = max(readers[artifact_id])
        lane = next((lane for lane, free in enumerate(free_from) if free <= first), len(free_from))
        free_from[lane : lane + 1] = [last]
        lanes[name] = lane, first, last, readers[artifact_id]
    return lanes


def _middle(row: int) -> float:
    return row * ROW + ROW / 2


def _artifact(name: str, lane: int, first: int, last: int, readers: list[int], box: int) -> str:
    """Draws a line from the row that wrote an artifact (below its middle) to each row that reads it (above it)."""
    x, top = box - 16 - LANE * (lane + 0.5), _middle(first) + 7
    path = f"M{box} {top} H{x + 6} Q{x} {top} {x} {top + 6} V{_middle(last) - 13}"
    for reader in readers:
        y = _middle(reader) - 7
        path += f" M{x} {y - 6} Q{x} {y} {x + 6} {y} H{box}"
    arrows = "".join(f'<path class="arrow" d="M{box} {_middle(r) - 7} l-6 -3.5 v7 z"/>' for r in readers)
    return f'<g class="lane lane-{lane % COLORS + 1}"><title>{escape(name)}</title><path d="{path}"/>{arrows}</g>'


def _connection(rows: Sequence[Mapping], number: int, box: int) -> str:
    """Draws the short line between two rows, from the source or to the pushed version."""
    if rows[number]["status"] == "skipped" or rows[number + 1]["status"] == "skipped":
        return ""
    return f'<path class="outside" d="M{box + 20} {_middle(number) + 18} V{_middle(number + 1) - 18}"/>'


def _box(row: Mapping, number: int, box: int) -> str:
    y = _middle(number)
    note = (
        f'<text class="note" x="{box + 10}" y="{y + 12}">{escape(_cut(row["note"], 52))}</text>' if row["note"] else ""
    )
    up = 1 if row["note"] else -4
    return (
        f'<g class="box {escape(row["status"])}"><title>{escape(row["name"])}: {escape(row["status"])}</title>'
        f'<rect x="{box}" y="{y - 18}" width="{WIDTH - box - 2}" height="36" rx="5"/>'
        f'<text x="{box + 10}" y="{y - up}">{escape(_cut(row["name"], 34))}</text>{note}</g>'
    )


def _cut(text: str, length: int) -> str:
    return text if len(text) <= length else text[: length - 1] + "…"
