"""Names of an endpoint's versions: one for the model and the configuration that a deployment creates."""

import re
from datetime import UTC, datetime


def version_name(endpoint_name: str, now: datetime | None = None) -> str:
    """Return a name for a new version: `<endpoint>-<UTC date>-<time>-<milliseconds>`."""
    now = now or datetime.now(UTC)
    return f"{endpoint_name}-{now:%Y%m%d-%H%M%S}-{now.microsecond // 1000:03d}"


def is_version_of(name: str, endpoint_name: str) -> bool:
    """Return whether `name` is one that `version_name` gives for this endpoint.

    `scones-dev-20261123-101500-000` is a version of `scones-dev`, not of `scones`.
    """
    return re.fullmatch(re.escape(endpoint_name) + r"-\d{8}-\d{6}-\d{3}", name) is not None


def archive_key(version: str) -> str:
    """Return the key of a version's model archive in the bucket."""
    return f"models/{version}/model.tar.gz"
