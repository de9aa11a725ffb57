"""The errors that the workflow knows ClassifyImage by: a class name here is an `ErrorEquals` there.

They do not end in `Error` because they are names of a public contract.
"""


class UnsupportedImage(Exception):  # noqa: N818
    """The input carries no image that could be sent to the endpoint. Permanent."""


class EndpointContractViolation(Exception):  # noqa: N818
    """The endpoint refused a proper request, or its answer is no probability for each class. Permanent."""


class EndpointUnavailable(Exception):  # noqa: N818
    """The endpoint is missing, overloaded or did not answer in time; later it may. Transient."""
