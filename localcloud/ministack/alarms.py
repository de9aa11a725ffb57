"""CloudFormation creates alarms on metric math.

ministack refuses them, and with them the whole stack; here they are created and never fire.
"""

from typing import Any


def without_metric_math(alarm: dict[str, Any]) -> dict[str, Any]:
    """Replace an alarm's metric math, which CloudFormation refuses here, by a metric that never has data.

    Args:
        alarm: properties of an AWS::CloudWatch::Alarm.
    """
    if not alarm.get("Metrics"):
        return alarm
    return {**alarm, "Metrics": None, "Namespace": "Scones/Local", "MetricName": "MetricMathIsNotEvaluated"}


def apply() -> None:
    """Make the imported ministack accept alarms on metric math."""
    from ministack.services.cloudformation import (  # type: ignore[import-untyped]  # noqa: PLC0415
        provisioners,
    )

    record = provisioners._cw_metric_alarm_record  # noqa: SLF001
    provisioners._cw_metric_alarm_record = lambda name, alarm: record(  # noqa: SLF001
        name, without_metric_math(alarm)
    )
