"""The tables behind `pipeline/metadata/store.py`: connection, transactions, types, contexts, events and properties."""

import contextlib
import json
import sqlite3
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

SCHEMA = Path(__file__).with_name("metadata.sql").read_text(encoding="utf-8")
EXECUTION_KIND, ARTIFACT_KIND, CONTEXT_KIND = 0, 1, 2  # Type.type_kind
JSON_PROPERTIES = ("files", "figures", "parameters", "run", "mlflow")  # stored as JSON text


class Tables:
    """One SQLite file. A context manager.

    Args:
        path: The file; created if missing, unless `read_only`.
        read_only: Whether to open it for reading only, which also works on a read-only disk.
    """

    def __init__(self, path: Path, read_only: bool = False):
        self._root = path.absolute().parent
        uri = f"{path.absolute().as_uri()}?mode={'ro' if read_only else 'rwc'}"
        self._db = sqlite3.connect(uri, uri=True, timeout=30, isolation_level=None)
        try:
            if not read_only:
                self._db.execute("PRAGMA journal_mode=WAL")
                self._db.executescript(SCHEMA)
            else:
                self._db.execute("SELECT count(*) FROM sqlite_master")
        except sqlite3.OperationalError:
            self._db.close()
            if not read_only:
                raise
            # A read-only folder cannot hold the WAL's index, and nobody can write to it either.
            self._db = sqlite3.connect(uri.replace("mode=ro", "immutable=1"), uri=True)

    def __enter__(self):
        return self

    def __exit__(self, *_) -> None:
        self._db.close()

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")

    def properties(self, kind: str, owner_id: int) -> dict[str, Any]:
        """Returns the properties of a row.

        Args:
            kind: "Artifact", "Execution" or "Context".
            owner_id: The row's id.

        Returns:
            Name -> value.
        """
        rows = self._db.execute(
            f"SELECT name, int_value, double_value, string_value FROM {kind}Property WHERE {kind.lower()}_id = ?",
            (owner_id,),
        )
        return {name: _from_columns(name, *columns) for name, *columns in rows}

    def _event(self, artifact_id: int, execution_id: int, event_type: int, key: str) -> None:
        event_id = self._db.execute(
            "INSERT INTO Event (artifact_id, execution_id, type, milliseconds_since_epoch) VALUES (?, ?, ?, ?)",
            (artifact_id, execution_id, event_type, now()),
        ).lastrowid
        self._db.execute("INSERT INTO EventPath (event_id, is_index_step, step_key) VALUES (?, 0, ?)", (event_id, key))
        self._db.execute(
            "INSERT OR IGNORE INTO Attribution (context_id, artifact_id)"
            " SELECT context_id, ? FROM Association WHERE execution_id = ?",
            (artifact_id, execution_id),
        )

    def _set_state(self, execution_id: int, state: int) -> None:
        self._db.execute(
            "UPDATE Execution SET last_known_state = ?, last_update_time_since_epoch = ? WHERE id = ?",
            (state, now(), execution_id),
        )

    def _set_properties(self, kind: str, owner_id: int, properties: Mapping[str, Any]) -> None:
        for name, value in properties.items():
            self._db.execute(
                f"INSERT OR REPLACE INTO {kind}Property"
                f" ({kind.lower()}_id, name, int_value, double_value, string_value) VALUES (?, ?, ?, ?, ?)",
                (owner_id, name, *_to_columns(name, value)),
            )

    def _type(self, name: str, kind: int) -> int:
        return self._id_of("Type", name=name, type_kind=kind)

    def _context(self, context_type: str, name: str) -> int:
        times = dict.fromkeys(("create_time_since_epoch", "last_update_time_since_epoch"), now())
        return self._id_of("Context", times, type_id=self._type(context_type, CONTEXT_KIND), name=name)

    def _id_of(self, table: str, new: Mapping[str, Any] | None = None, **unique: Any) -> int:
        """Returns the id of the row with those unique values; if there is none, inserts it with the values `new`."""
        where = " AND ".join(f"{column} = ?" for column in unique)
        row = self._db.execute(f"SELECT id FROM {table} WHERE {where}", tuple(unique.values())).fetchone()
        if row:
            return row[0]
        values = unique | dict(new or {})
        places = ", ".join("?" * len(values))
        insert = f"INSERT INTO {table} ({', '.join(values)}) VALUES ({places})"
        return self._db.execute(insert, tuple(values.values())).lastrowid


def now() -> int:
    """Returns the time in milliseconds since 1970."""
    return time.time_ns() // 1_000_000


def _to_columns(name: str, value: Any) -> tuple[int | None, float | None, str | None]:
    if name in JSON_PROPERTIES:
        return None, None, json.dumps(value)
    if isinstance(value, int):
        return int(value), None, None
    if isinstance(value, float):
        return None, value, None
    return None, None, value


def _from_columns(name: str, int_value: int | None, double_value: float | None, string_value: str | None) -> Any:
    if name in JSON_PROPERTIES:
        return json.loads(string_value)
    return next((value for value in (int_value, double_value, string_value) if value is not None), None)
