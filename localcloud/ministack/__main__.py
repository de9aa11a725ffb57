"""Run ministack with the repairs of this package: `python -m localcloud.ministack`."""

import sys

from localcloud.ministack import (
    admission,
    alarms,
    cloudformation,
    definitions,
    distributed_map,
    dynamodb,
    events,
    executions,
    fault_hooks,
    lambda_,
    language,
    metric_filters,
    persistence,
    s3,
    server,
    states,
    strict,
    warm,
)
from localcloud.service import end_with_parent

# Faults lie around the repaired functions, and others are refused before anything else.
REPAIRS = (
    *(alarms, metric_filters, lambda_, warm, s3, dynamodb, events, cloudformation, definitions, language),
    *(states, executions, distributed_map, admission, persistence),
    *(fault_hooks, strict, server),
)


def main() -> None:
    """Repair ministack and run it in this process until it is told to stop.

    Raises:
        IncompatibleMinistackError: the installed ministack does not fit a repair.
    """
    end_with_parent()
    for module in REPAIRS:
        module.apply()
    from ministack import app

    sys.argv = ["ministack"]
    app.main()


if __name__ == "__main__":
    main()
