"""The exit codes of all commands."""

DONE = 0
FAILED = 1  # a component or the command itself failed, after it had started
USAGE_ERROR = 2  # bad usage or configuration: nothing has started
REFUSED = 3  # a gate refused the model
INTERRUPTED = 130  # Ctrl-C
TERMINATED = 143  # SIGTERM
