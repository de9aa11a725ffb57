"""Run ministack with the repairs of this package: `python -m localcloud.ministack`."""

import sys

from localcloud.ministack import (
    alarms,
    distributed_map,
    fault_hooks,
    history,
    lambda_errors,
    retries,
    rule_delivery,
    s3_events,
    saving,
    version_keys,
    web_pages,
    workers,
)
from localcloud.parent import end_with_parent

REPAIRS = (
    lambda_errors,
    workers,
    retries,
    s3_events,
    version_keys,
    rule_delivery,
    alarms,
    distributed_map,
    history,
    fault_hooks,
    web_pages,
    saving,
)


def main() -> None:
    """Repair ministack and run it in this process until it is told to stop.

    Raises:
        IncompatibleMinistackError: the installed ministack does not fit a repair.
    """
    end_with_parent()
    for module in REPAIRS:
        module.apply()
    from ministack import app  # type: ignore[import-untyped]  # noqa: PLC0415

    sys.argv = ["ministack"]
    app.main()


if __name__ == "__main__":
    main()
