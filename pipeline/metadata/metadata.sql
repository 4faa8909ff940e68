-- ML Metadata's tables, as far as this pipeline uses them.
CREATE TABLE IF NOT EXISTS Type (
  id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL, type_kind INTEGER NOT NULL, UNIQUE (name, type_kind));
CREATE TABLE IF NOT EXISTS Artifact (
  id INTEGER PRIMARY KEY AUTOINCREMENT, type_id INTEGER NOT NULL REFERENCES Type, uri TEXT NOT NULL,
  state INTEGER NOT NULL, name TEXT, create_time_since_epoch INTEGER NOT NULL,
  last_update_time_since_epoch INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS Execution (
  id INTEGER PRIMARY KEY AUTOINCREMENT, type_id INTEGER NOT NULL REFERENCES Type, last_known_state INTEGER NOT NULL,
  name TEXT, create_time_since_epoch INTEGER NOT NULL, last_update_time_since_epoch INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS Context (
  id INTEGER PRIMARY KEY AUTOINCREMENT, type_id INTEGER NOT NULL REFERENCES Type, name TEXT NOT NULL,
  create_time_since_epoch INTEGER NOT NULL, last_update_time_since_epoch INTEGER NOT NULL, UNIQUE (type_id, name));
CREATE TABLE IF NOT EXISTS ArtifactProperty (
  artifact_id INTEGER NOT NULL REFERENCES Artifact, name TEXT NOT NULL, is_custom_property INTEGER NOT NULL DEFAULT 1,
  int_value INTEGER, double_value REAL, string_value TEXT, PRIMARY KEY (artifact_id, name));
CREATE TABLE IF NOT EXISTS ExecutionProperty (
  execution_id INTEGER NOT NULL REFERENCES Execution, name TEXT NOT NULL, is_custom_property INTEGER NOT NULL DEFAULT 1,
  int_value INTEGER, double_value REAL, string_value TEXT, PRIMARY KEY (execution_id, name));
CREATE TABLE IF NOT EXISTS ContextProperty (
  context_id INTEGER NOT NULL REFERENCES Context, name TEXT NOT NULL, is_custom_property INTEGER NOT NULL DEFAULT 1,
  int_value INTEGER, double_value REAL, string_value TEXT, PRIMARY KEY (context_id, name));
CREATE TABLE IF NOT EXISTS Event (
  id INTEGER PRIMARY KEY AUTOINCREMENT, artifact_id INTEGER NOT NULL REFERENCES Artifact,
  execution_id INTEGER NOT NULL REFERENCES Execution, type INTEGER NOT NULL, milliseconds_since_epoch INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS EventPath (
  event_id INTEGER NOT NULL REFERENCES Event, is_index_step INTEGER NOT NULL, step_index INTEGER, step_key TEXT);
CREATE TABLE IF NOT EXISTS Attribution (
  id INTEGER PRIMARY KEY AUTOINCREMENT, context_id INTEGER NOT NULL REFERENCES Context,
  artifact_id INTEGER NOT NULL REFERENCES Artifact, UNIQUE (context_id, artifact_id));
CREATE TABLE IF NOT EXISTS Association (
  id INTEGER PRIMARY KEY AUTOINCREMENT, context_id INTEGER NOT NULL REFERENCES Context,
  execution_id INTEGER NOT NULL REFERENCES Execution, UNIQUE (context_id, execution_id));
CREATE INDEX IF NOT EXISTS event_by_execution ON Event (execution_id);
CREATE INDEX IF NOT EXISTS event_by_artifact ON Event (artifact_id);
CREATE INDEX IF NOT EXISTS execution_by_property ON ExecutionProperty (name, string_value);
