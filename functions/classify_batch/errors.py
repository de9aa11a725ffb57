"""ClassifyBatch's exceptions; the workflow sees their class names."""


class BatchIncomplete(Exception):  # noqa: N818 - the name is the function's API
    """Some photos of the batch have no outcome yet, because a service failed: repeat the batch."""
