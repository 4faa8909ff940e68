"""Lineage in SQLite, with ML Metadata's tables and terms.

Types name what artifacts, executions and contexts are; an Event links an artifact to the execution that read or wrote
it; Contexts group them: the `pipeline`, each `pipeline_run`, each `node` (component). Attribution and Association put
artifacts and executions into contexts. Writers take turns (WAL, busy timeout); readers never wait. What is complete is
also written beside the artifacts, see `lineage_records`.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from pipeline.metadata import lineage_records
from pipeline.metadata.reading import (
    CACHED,
    CANCELED,
    COMPLETE,
    FAILED,
    INPUT,
    OUTPUT,
    RUNNING,
    Artifact,
    MetadataReader,
)
from pipeline.metadata.tables import ARTIFACT_KIND, EXECUTION_KIND, now

__all__ = ["CANCELED", "COMPLETE", "FAILED", "Artifact", "Metadata"]

LIVE = 2  # Artifact.state
PIPELINE = "tied-language-model"


class Metadata(MetadataReader):
    """The metadata of one root, which is the file's folder; every method is one transaction."""

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
        error = error.encode("utf-8", "backslashreplace").decode()  # it may name a file whose name is no UTF-8
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
            known = set()  # ids of restored artifacts; a record may name others, whose own records are lost
            for record in executions:
                known |= self._restore_execution(record, known)

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
        """Inserts an execution with its old ids; returns the ids of the artifacts that are new."""
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
