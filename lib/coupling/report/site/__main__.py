"""`python -m coupling.report.site`: build the site, and say where it is and how long that took."""

import sys
import time

from coupling.errors import StudyError
from coupling.report.site import build

start = time.monotonic()
try:
    first = build()
except StudyError as error:
    sys.exit(f"error: {error}")
print(f"site built in {time.monotonic() - start:.0f} s: open {first}")
