"""The most memory that this process has held."""

import re
import resource
from pathlib import Path


def peak_mib() -> float:
    """Return the peak of resident memory in MiB, this program's own where the system tells it apart."""
    status = Path("/proc/self/status")
    if status.exists() and (found := re.search(r"VmHWM:\s*(\d+) kB", status.read_text())):
        return int(found[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
