"""The rule that docs/operations.md shows takes the accepted photos of its stack, and no other event."""

import json
import re
from typing import Any

import pytest
from moto.events.models import EventPattern
from samcli.yamlhelper import yaml_parse  # type: ignore[import-untyped]

from tests.support.sam_app import ROOT

PAGE = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("detail", "sent"),
    [
        ({"outcome": "ACCEPTED"}, True),
        ({"outcome": "ACCEPTED", "reviewed": True}, True),
        ({"outcome": "LOW_CONFIDENCE"}, False),
        ({"outcome": "REJECTED", "reviewed": True}, False),
        ({"outcome": "ACCEPTED", "object_uri": "s3://another/incoming/a.jpg"}, False),
    ],
)
def test_the_rule_takes_accepted_photos(detail: dict[str, Any], *, sent: bool) -> None:
    (text,) = re.findall(r"```yaml\n(LoadingBayRule:.+?)```", PAGE, re.DOTALL)
    rule = yaml_parse(text.replace("<PhotoBucketName>", "photos"))["LoadingBayRule"]["Properties"]
    event: Any = {
        "source": "scones.vehicle-classification",
        "detail-type": "Vehicle Classified",
        "detail": {"object_uri": "s3://photos/incoming/a.jpg", **detail},
    }
    assert EventPattern.load(json.dumps(rule["EventPattern"])).matches_event(event) is sent
