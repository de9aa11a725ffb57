"""FilterInference: accepted at the threshold, refused below it, anything but probabilities is an error."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.sam_app import load_function

function = load_function("filter_inference")
handler = function.app.lambda_handler
errors = function.errors
LABELS = ("bicycle", "motorcycle")


@given(st.floats(0, 1))
def test_the_threshold_itself_is_accepted_and_less_is_not(confidence: float) -> None:
    probability = max(confidence, 1 - confidence)
    request = {"s3_key": "k", "inferences": [probability, 1 - probability]}
    if probability >= 0.85:
        assert handler(request, None)["label"] == "bicycle"
        assert handler(request, None)["confidence"] == probability
    else:
        with pytest.raises(errors.ThresholdConfidenceNotMet):
            handler(request, None)


def test_the_message_is_json_for_the_workflow() -> None:
    with pytest.raises(errors.ThresholdConfidenceNotMet) as refusal:
        handler({"inferences": [0.25, 0.75]}, None)
    facts = json.loads(str(refusal.value))
    assert facts == {"label": "motorcycle", "confidence": 0.75, "threshold": 0.85, "reason": facts["reason"]}
    assert "motorcycle" in facts["reason"]


@pytest.mark.parametrize(
    "inferences",
    [None, "0.9,0.1", [], [1.0], [0.2, 0.3, 0.5], ["0.9", 0.1], [True, False], [1.5, 0], [None, 1]],
)
def test_anything_but_one_probability_per_class_is_refused(inferences: Any) -> None:
    with pytest.raises(errors.EndpointContractViolation, match="bicycle, motorcycle"):
        handler({"inferences": inferences}, None)


def test_labels_and_threshold_come_from_the_environment() -> None:
    other = load_function(
        "filter_inference", {"CLASS_LABELS": "van, boat,kite", "CONFIDENCE_THRESHOLD": "0.4"}
    )
    assert other.app.lambda_handler({"inferences": [0.1, 0.4, 0.5]}, None)["label"] == "kite"
    assert other.app.lambda_handler({"inferences": [0.1, 0.45, 0.45]}, None)["label"] == "boat"
