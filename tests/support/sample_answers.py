"""Compare a function's response to a sample event with events/expected.json."""

import base64
import io
from typing import Any

from PIL import Image

from tests.support.sam_app import expected, parameter_default


def differences(name: str, answer: dict[str, Any]) -> list[str]:
    """Return the differences from an event's expected result, a sentence each."""
    wanted = expected()[name]
    if "error" in wanted:
        return _error_differences(wanted, answer)
    if "errorType" in answer:
        return [f"raised {answer['errorType']}: {answer.get('errorMessage')}"]
    found = [
        f"{field} is {answer.get(field)!r}, not {value!r}"
        for field, value in wanted["answer"].items()
        if answer.get(field) != value
    ]
    found += [f"{field} is missing" for field in wanted.get("present", []) if not answer.get(field)]
    found += [f"{field} is present" for field in wanted.get("absent", []) if field in answer]
    if "image_size" in wanted and not found:
        size = Image.open(io.BytesIO(base64.b64decode(answer["image_data"]))).size
        if list(size) != wanted["image_size"]:
            found.append(f"the image is {size}, not {wanted['image_size']}")
    if "most_probable" in wanted and not found:
        labels = parameter_default("ClassLabels").split(",")
        best = max(zip(answer["inferences"], labels, strict=True))
        if best[1] != wanted["most_probable"]:
            found.append(f"{best[1]} is the most probable class, not {wanted['most_probable']}")
    return found


def _error_differences(wanted: dict[str, Any], answer: dict[str, Any]) -> list[str]:
    if answer.get("errorType") != wanted["error"]:
        return [f"returned {str(answer)[:200]} instead of raising {wanted['error']}"]
    if wanted["message"] not in answer["errorMessage"]:
        return [f"the message is {answer['errorMessage']!r}, without {wanted['message']!r}"]
    return []
