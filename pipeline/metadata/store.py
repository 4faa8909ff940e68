"""Lineage in SQLite, with ML Metadata's tables and terms.

Types name what artifacts, executions and contexts are; an Event links an artifact to the execution that read or wrote
it; Contexts group them: the `pipeline`, each `pipeline_run`, each `node` (component). Attribution and Association put
artifacts and executions into contexts. Writers take turns (WAL, busy timeout); readers never wait. What is complete is
also written beside the artifacts, see `lineage_records`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.metadata import lineage_records
from pipeline.metadata.tables import ARTIFACT_KIND, EXECUTION_KIND, Tables, now

RUNNING, COMPLETE, FAILED, CACHED, CANCELED = 2, 3, 4, 5, 6  # Execution.last_known_state
LIVE = 2  # Artifact.state
INPUT, OUTPUT = 3, 4  # Event.type
PIPELINE = "tied-language-model"


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


class Metadata(Tables):
    """The metadata of one root, which is the file's folder; every method is one transaction."""

    # -- writing ----------------------------------------------------------------------------------------------------

    def reserve_ids(self, above: int) -> None:
        """Makes new executions start above an id: folders that a lost metadata file recorded keep their ids.

        Args:
            above: The highest id in use.
        """
        with self._transaction():
            row = self._db.execute("SELECT seq FROM sqlite_sequence WHERE name = 'Execution'").fetchone()
            if row is None:
                self._db.execute("INSERT INTO sqlite_sequence VALUES ('Execution', ?)", (above,))
            elif row[0] < above:
                self._db.execute("UPDATE sqlite_sequence SET seq = ? WHERE name = 'Execution'", (above,))

    def start_run(self, run_id: str, properties: Mapping[str, Any]) -> None:
        """Creates the context of one run.

        Args:
            run_id: The run's id.
            properties: Such as `started`.
        """
        with self._transaction():
            self._set_run(run_id, properties)
            self._context("pipeline", PIPELINE)

    def finish_run(self, run_id: str, properties: Mapping[str, Any]) -> None:
        """Adds properties to a run's context.

        Args:
            run_id: The run's id.
            properties: Such as `exit`, `seconds`, and `run`, the whole record.
        """
        with self._transaction():
            self._set_run(run_id, properties)

    def start_execution(self, component: str, run_id: str, inputs: Mapping[str, int], **properties: Any) -> int:
        """Records that a component is about to run.

        Args:
            component: The component's name, which is the execution's type.
            run_id: The run that it belongs to.
            inputs: Input key -> artifact id.
            **properties: Recorded with it, such as `cache_key` and `parameters`.

        Returns:
            The execution's id.
        """
        with self._transaction():
            return self._new_execution(component, run_id, RUNNING, inputs, properties)

    def publish_execution(
        self, execution_id: int, outputs: Mapping[str, tuple[str, str, str, Mapping[str, list]]], **properties: Any
    ) -> dict[str, Artifact]:
        """Completes an execution: its outputs become artifacts.

        Args:
            execution_id: The id that `start_execution` returned.
            outputs: Output key -> (artifact type, uri, digest, files).
            **properties: Added to the execution, such as `figures` and `seconds`.

        Returns:
            Output key -> artifact.
        """
        with self._transaction():
            for key, output in outputs.items():
                self._event(self._new_artifact(*output), execution_id, OUTPUT, key)
            self._set_properties("Execution", execution_id, properties)
            self._set_state(execution_id, COMPLETE)
            self._keep_record(execution_id)
        return self.outputs(execution_id)

    def publish_cached(self, component: str, run_id: str, cached_id: int, inputs: Mapping[str, int]) -> int:
        """Records that a run reused the outputs of an earlier execution.

        Args:
            component: The component's name.
            run_id: The run that reused them.
            cached_id: The earlier execution's id.
            inputs: Input key -> artifact id.

        Returns:
            The new execution's id.
        """
        outputs = self.outputs(cached_id)
        with self._transaction():
            execution_id = self._new_execution(component, run_id, CACHED, inputs, {"cached_execution": cached_id})
            for key, artifact in outputs.items():
                self._event(artifact.id, execution_id, OUTPUT, key)
            self._keep_record(execution_id)
        return execution_id

    def end_execution(self, execution_id: int, state: int, error: str = "") -> None:
        """Marks an execution as failed or canceled.

        Args:
            execution_id: The execution's id.
            state: FAILED or CANCELED.
            error: The message of the failure.
        """
        with self._transaction():
            self._set_properties("Execution", execution_id, {"error": error})
            self._set_state(execution_id, state)

    def keep_records(self) -> None:
        """Writes the records that are missing beside the artifacts."""
        rows = self._db.execute(
            "SELECT e.id, t.name FROM Execution e JOIN Type t ON t.id = e.type_id WHERE e.last_known_state IN (?, ?)",
            (COMPLETE, CACHED),
        ).fetchall()
        for execution_id, component in rows:
            if not lineage_records.has_execution(self._root, component, execution_id):
                self._keep_record(execution_id)

    def restore(self, executions: Sequence[Mapping[str, Any]], runs: Mapping[str, Mapping[str, Any]]) -> None:
        """Fills an empty file from records.

        Args:
            executions: Records of executions, in the order of their ids.
            runs: Run id -> properties.
        """
        with self._transaction():
            for run_id, properties in runs.items():
                self._set_properties("Context", self._context("pipeline_run", run_id), properties)
            known = set()  # a record of which a part is lost refers to no row that is not there
            for record in executions:
                known |= self._restore_execution(record, known)

    # -- reading ----------------------------------------------------------------------------------------------------

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

    def running(self) -> list[int]:
        """Returns the executions that never ended. While no run holds the root's lock, they were killed."""
        rows = self._db.execute("SELECT id FROM Execution WHERE last_known_state = ?", (RUNNING,))
        return [row[0] for row in rows]

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

    # -- parts ------------------------------------------------------------------------------------------------------

    def _set_run(self, run_id: str, properties: Mapping[str, Any]) -> None:
        context = self._context("pipeline_run", run_id)
        self._set_properties("Context", context, properties)
        lineage_records.write_run(self._root, run_id, self.properties("Context", context))

    def _new_artifact(self, artifact_type, uri, digest, files, artifact_id=None) -> int:
        artifact_id = self._db.execute(
            "INSERT INTO Artifact (id, type_id, uri, state, create_time_since_epoch, last_update_time_since_epoch)"
            " VALUES (?, ?, ?, ?, ?, ?)",
            (artifact_id, self._type(artifact_type, ARTIFACT_KIND), uri, LIVE, now(), now()),
        ).lastrowid
        self._set_properties("Artifact", artifact_id, {"digest": digest, "files": files})
        return artifact_id

    def _new_execution(self, component, run_id, state, inputs, properties, execution_id=None) -> int:
        execution_id = self._db.execute(
            "INSERT INTO Execution"
            " (id, type_id, last_known_state, create_time_since_epoch, last_update_time_since_epoch)"
            " VALUES (?, ?, ?, ?, ?)",
            (execution_id, self._type(component, EXECUTION_KIND), state, now(), now()),
        ).lastrowid
        self._set_properties("Execution", execution_id, properties)
        contexts = (("pipeline", PIPELINE), ("pipeline_run", run_id), ("node", component))
        for context in [self._context(*context) for context in contexts]:
            self._db.execute(
                "INSERT INTO Association (context_id, execution_id) VALUES (?, ?)", (context, execution_id)
            )
        for key, artifact_id in inputs.items():
            self._event(artifact_id, execution_id, INPUT, key)
        return execution_id

    def _keep_record(self, execution_id: int) -> None:
        component, state, run_id = self._db.execute(
            "SELECT t.name, e.last_known_state, c.name FROM Execution e JOIN Type t ON t.id = e.type_id"
            " JOIN Association a ON a.execution_id = e.id JOIN Context c ON c.id = a.context_id"
            " JOIN Type k ON k.id = c.type_id AND k.name = 'pipeline_run' WHERE e.id = ?",
            (execution_id,),
        ).fetchone()
        record = {
            "execution_id": execution_id,
            "component": component,
            "run_id": run_id,
            "state": state,
            "inputs": {key: artifact.id for key, artifact in self.inputs(execution_id).items()},
            "outputs": {key: vars(artifact) for key, artifact in self.outputs(execution_id).items()},
            "properties": self.properties("Execution", execution_id),
        }
        lineage_records.write_execution(self._root, record)

    def _restore_execution(self, record: Mapping[str, Any], known: set[int]) -> set[int]:
        """Inserts an execution with the ids that it had; returns the ids of the artifacts that are new."""
        inputs = {key: artifact_id for key, artifact_id in record["inputs"].items() if artifact_id in known}
        execution_id = self._new_execution(
            record["component"], record["run_id"], record["state"], inputs, record["properties"], record["execution_id"]
        )
        new = set()
        for key, artifact in record["outputs"].items():
            if record["state"] == COMPLETE:
                values = (artifact[name] for name in ("type", "uri", "digest", "files", "id"))
                new.add(self._new_artifact(*values))
            if artifact["id"] in known | new:
                self._event(artifact["id"], execution_id, OUTPUT, key)
        return new

    def _event_artifacts(self, execution_id: int, event_type: int) -> dict[str, Artifact]:
        rows = self._db.execute(
            "SELECT p.step_key, v.artifact_id FROM Event v JOIN EventPath p ON p.event_id = v.id"
            " WHERE v.execution_id = ? AND v.type = ? ORDER BY v.id",
            (execution_id, event_type),
        ).fetchall()
        return {key: self.artifact(artifact_id) for key, artifact_id in rows}
