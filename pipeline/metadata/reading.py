"""The queries of the lineage: cached executions, their artifacts, what an artifact was made from, all runs."""

from dataclasses import dataclass
from typing import Any

from pipeline.metadata.tables import ARTIFACT_KIND, Tables

RUNNING, COMPLETE, FAILED, CACHED, CANCELED = 2, 3, 4, 5, 6  # Execution.last_known_state
INPUT, OUTPUT = 3, 4  # Event.type


@dataclass(frozen=True)
class Artifact:
    """A published output.

    Attributes:
        id: Its id in the metadata.
        type: Its type, such as "Model".
        uri: Its folder, relative to the pipeline's root.
        digest: SHA-256 of its contents.
        files: Relative name -> [size in bytes, modification time in ns, SHA-256].
        producer: Name of the component that wrote it.
    """

    id: int
    type: str
    uri: str
    digest: str
    files: dict[str, list]
    producer: str


class MetadataReader(Tables):
    """Reads the metadata of one root."""

    def find_cached(self, component: str, cache_key: str) -> int | None:
        """Returns the newest complete execution of a component with a cache key, or None.

        Args:
            component: The component's name.
            cache_key: Digest of what the execution depends on.
        """
        row = self._db.execute(
            "SELECT max(e.id) FROM Execution e JOIN Type t ON t.id = e.type_id"
            " JOIN ExecutionProperty p ON p.execution_id = e.id AND p.name = 'cache_key' AND p.string_value = ?"
            " WHERE t.name = ? AND e.last_known_state = ?",
            (cache_key, component, COMPLETE),
        ).fetchone()
        return row[0]

    def running(self) -> dict[int, str]:
        """Returns the component of each execution that never ended; if no run holds the root's lock, it was killed."""
        rows = self._db.execute(
            "SELECT e.id, t.name FROM Execution e JOIN Type t ON t.id = e.type_id WHERE e.last_known_state = ?",
            (RUNNING,),
        )
        return dict(rows.fetchall())

    def inputs(self, execution_id: int) -> dict[str, Artifact]:
        """Returns what an execution read.

        Args:
            execution_id: The execution's id.

        Returns:
            Input key -> artifact.
        """
        return self._event_artifacts(execution_id, INPUT)

    def outputs(self, execution_id: int) -> dict[str, Artifact]:
        """Returns what an execution wrote, or reused if it was cached.

        Args:
            execution_id: The execution's id.

        Returns:
            Output key -> artifact.
        """
        return self._event_artifacts(execution_id, OUTPUT)

    def artifacts(self, artifact_type: str) -> list[Artifact]:
        """Returns all artifacts of a type, newest first.

        Args:
            artifact_type: Such as "PushedModel".
        """
        rows = self._db.execute(
            "SELECT a.id FROM Artifact a JOIN Type t ON t.id = a.type_id WHERE t.name = ? AND t.type_kind = ?"
            " ORDER BY a.id DESC",
            (artifact_type, ARTIFACT_KIND),
        ).fetchall()
        return [self.artifact(row[0]) for row in rows]

    def artifact(self, artifact_id: int) -> Artifact:
        """Returns one artifact.

        Args:
            artifact_id: The id of an artifact that exists.
        """
        kind, uri = self._db.execute(
            "SELECT t.name, a.uri FROM Artifact a JOIN Type t ON t.id = a.type_id WHERE a.id = ?", (artifact_id,)
        ).fetchone()
        (producer,) = self._db.execute(
            "SELECT t.name FROM Event v JOIN Execution e ON e.id = v.execution_id JOIN Type t ON t.id = e.type_id"
            " WHERE v.artifact_id = ? AND v.type = ? ORDER BY v.id LIMIT 1",
            (artifact_id, OUTPUT),
        ).fetchone()
        properties = self.properties("Artifact", artifact_id)
        return Artifact(artifact_id, kind, uri, properties["digest"], properties["files"], producer)

    def lineage(self, artifact_id: int) -> list[dict[str, Any]]:
        """Returns the executions that an artifact was made by, directly or not, nearest first.

        Args:
            artifact_id: The artifact's id.

        Returns:
            Dicts of `execution_id`, `component`, `inputs` and `outputs` (key -> `Artifact`).
        """
        found, waiting = {}, [artifact_id]
        while waiting:
            row = self._db.execute(
                "SELECT e.id, t.name FROM Event v JOIN Execution e ON e.id = v.execution_id"
                " JOIN Type t ON t.id = e.type_id WHERE v.artifact_id = ? AND v.type = ? ORDER BY v.id LIMIT 1",
                (waiting.pop(0), OUTPUT),
            ).fetchone()
            if row and row[0] not in found:
                inputs, outputs = self.inputs(row[0]), self.outputs(row[0])
                found[row[0]] = {"execution_id": row[0], "component": row[1], "inputs": inputs, "outputs": outputs}
                waiting += [artifact.id for artifact in inputs.values()]
        return list(found.values())

    def runs(self) -> list[dict[str, Any]]:
        """Returns the properties of every run, newest first.

        Returns:
            Dicts of `run_id`, `started`, and if the run has ended `exit` and `run`, its record.
        """
        rows = self._db.execute(
            "SELECT c.id, c.name FROM Context c JOIN Type t ON t.id = c.type_id WHERE t.name = 'pipeline_run'"
            " ORDER BY c.id DESC"
        ).fetchall()
        return [{"run_id": name, **self.properties("Context", context_id)} for context_id, name in rows]

    def _event_artifacts(self, execution_id: int, event_type: int) -> dict[str, Artifact]:
        rows = self._db.execute(
            "SELECT p.step_key, v.artifact_id FROM Event v JOIN EventPath p ON p.event_id = v.id"
            " WHERE v.execution_id = ? AND v.type = ? ORDER BY v.id",
            (execution_id, event_type),
        ).fetchall()
        return {key: self.artifact(artifact_id) for key, artifact_id in rows}
