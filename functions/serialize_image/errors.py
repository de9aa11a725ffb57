"""The errors that the workflow knows SerializeImage by: a class name here is an `ErrorEquals` there.

They do not end in `Error` because they are names of a public contract.
"""


class ObjectNotFound(Exception):  # noqa: N818
    """The object, or the version asked for, is not there or cannot be read by this function. Permanent."""


class ObjectTooLarge(Exception):  # noqa: N818
    """The object has more bytes than a photo may have; none of them was read. Permanent."""


class UnsupportedImage(Exception):  # noqa: N818
    """The bytes are no whole image of a known format. Permanent."""


class ImageTooLarge(Exception):  # noqa: N818
    """The image has more pixels than may be decoded; none of them was. Permanent."""


class StorageUnavailable(Exception):  # noqa: N818
    """The storage did not answer as it should; the same request may well work later. Transient."""


class BuildMismatch(Exception):  # noqa: N818
    """The function was built for another Python or processor than it runs on: build it again."""
