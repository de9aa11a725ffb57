"""SerializeImage's errors. The workflow matches them by class name (`ErrorEquals`): a public contract."""


class ObjectNotFound(Exception):  # noqa: N818
    """The object, or the requested version, does not exist. Permanent."""


class ObjectNotReadable(Exception):  # noqa: N818
    """The object exists but may not be read, decrypted or restored. Permanent until an operator acts."""


class ObjectTooLarge(Exception):  # noqa: N818
    """The object has more bytes than MAX_OBJECT_BYTES; its body was not read. Permanent."""


class UnsupportedImage(Exception):  # noqa: N818
    """The bytes are not a complete image of a supported format. Permanent."""


class ImageTooLarge(Exception):  # noqa: N818
    """The image has more pixels than MAX_PIXELS; it was not decoded. Permanent."""


class ImageTooCostly(Exception):  # noqa: N818
    """Decoding the image takes more memory than the function has. Permanent."""


class StorageUnavailable(Exception):  # noqa: N818
    """S3 did not respond, or failed; the same request may succeed later. Transient."""


class BuildMismatch(Exception):  # noqa: N818
    """The function was built for another Python or processor than it runs on. Permanent: build it again."""
