"""Labels in a tag of the endpoint."""

import pytest

from model_build.endpoint.labels import tag_value


@pytest.mark.parametrize(
    ("labels", "value"),
    [
        (["bicycle", "motorcycle"], "bicycle motorcycle"),
        (["pickup_truck", "vélo"], "pickup_truck vélo"),
        (["a" * 127, "b" * 128], f"{'a' * 127} {'b' * 128}"),
        (["a" * 128, "b" * 128], None),
        (["sports car"], None),
        (["50%"], None),
        ([""], None),
        ([], None),
        (None, None),
    ],
)
def test_labels_that_a_tag_can_hold(labels: list[str] | None, value: str | None) -> None:
    assert tag_value(labels) == value
