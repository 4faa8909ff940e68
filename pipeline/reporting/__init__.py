"""What people see of runs: the report page and its charts, comparisons, the history, the summary's one line.

Reads `pipeline.metadata` and the artifacts' own modules; imported by the commands and by `pipeline.tracking`.
"""

import os

# A notebook's kernel names a backend that it alone may have, and matplotlib then refuses to be imported by a command of
# a cell. The plots here are files.
if os.environ.get("MPLBACKEND", "").startswith("module://"):
    os.environ["MPLBACKEND"] = "svg"
