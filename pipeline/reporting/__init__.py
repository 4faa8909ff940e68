"""What people see of runs: the report page and its charts, comparisons, the history, the summary's one line.

The commands, `pipeline.tracking` and `experiments` import it. It imports `pipeline.config`, `pipeline.metadata` and
the records and figures of `pipeline.runner`; and `components.artifacts`, whose files it reads, and the helpers for
numbers and the terminal.
"""

import os

# A notebook's kernel names a backend that it alone may have, and matplotlib then refuses to be imported by a command of
# a cell. The plots here are files.
if os.environ.get("MPLBACKEND", "").startswith("module://"):
    os.environ["MPLBACKEND"] = "svg"
