"""ClassifyImage's errors. The workflow matches them by class name (`ErrorEquals`): a public contract."""


class UnsupportedImage(Exception):  # noqa: N818
    """The input has no image that can be sent to the endpoint. Permanent."""


class EndpointContractViolation(Exception):  # noqa: N818
    """The endpoint refused a valid request, serves other labels, or returned no probabilities. Permanent."""


class EndpointBusy(Exception):  # noqa: N818
    """The endpoint throttles: it is starting, scaling, or has more requests than it can take. Transient."""


class EndpointUnavailable(Exception):  # noqa: N818
    """The endpoint is missing, failed, or did not respond in time. Transient."""
