"""Run ministack with the repairs of this package: `python -m localcloud.ministack`.

If the installed version does not fit a repair, it refuses to start: it would then behave differently from
AWS, and nobody would notice.
"""

import sys

from ministack import app

from localcloud.ministack import (
    admission,
    cloudformation,
    cloudwatch,
    distributed_map,
    events,
    executions,
    fault_hooks,
    lambda_,
    language,
    persistence,
    s3,
    server,
    states,
    strict,
)
from localcloud.service import end_with_parent

# Faults lie around the repaired functions, and others are refused before anything else.
REPAIRED = (
    *(cloudwatch, lambda_, s3, events, cloudformation, language, states, executions),
    *(distributed_map, admission, persistence, fault_hooks, strict, server),
)


def main() -> None:
    """Repair ministack and run it in this process until it is told to stop."""
    end_with_parent()
    for module in REPAIRED:
        module.REPAIRS.apply()
    persistence.KEEPING.apply()
    sys.argv = ["ministack"]
    app.main()


if __name__ == "__main__":
    main()
