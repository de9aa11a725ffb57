"""Compares what a function answered to a sample event with what events/expected.json promises."""

import base64
import io
from typing import Any

from PIL import Image

from tests.support.sam_app import expected, parameter_default


def differences(name: str, answer: dict[str, Any]) -> list[str]:
    """What is not as promised, in words; nothing if all is.

    Args:
        name: the event's name, `serialize_image/bicycle.json`.
        answer: the handler's answer as JSON, or Lambda's error with errorType and errorMessage.
    """
    promised = expected()[name]
    if "error" in promised:
        return _error_differences(promised, answer)
    if "errorType" in answer:
        return [f"raised {answer['errorType']}: {answer.get('errorMessage')}"]
    found = [
        f"{field} is {answer.get(field)!r}, not {value!r}"
        for field, value in promised["answer"].items()
        if answer.get(field) != value
    ]
    found += [f"{field} is missing" for field in promised.get("present", []) if not answer.get(field)]
    found += [f"{field} is there" for field in promised.get("absent", []) if field in answer]
    if "image_size" in promised and not found:
        size = Image.open(io.BytesIO(base64.b64decode(answer["image_data"]))).size
        if list(size) != promised["image_size"]:
            found.append(f"the image is {size}, not {promised['image_size']}")
    if "most_probable" in promised and not found:
        labels = parameter_default("ClassLabels").split(",")
        best = max(zip(answer["inferences"], labels, strict=True))
        if best[1] != promised["most_probable"]:
            found.append(f"{best[1]} is the most probable class, not {promised['most_probable']}")
    return found


def _error_differences(promised: dict[str, Any], answer: dict[str, Any]) -> list[str]:
    if answer.get("errorType") != promised["error"]:
        return [f"answered {str(answer)[:200]} instead of raising {promised['error']}"]
    if promised["message"] not in answer["errorMessage"]:
        return [f"the message is {answer['errorMessage']!r}, without {promised['message']!r}"]
    return []
