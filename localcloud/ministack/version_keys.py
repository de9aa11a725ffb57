"""Keys of listed versions are encoded when that is asked for: `encoding-type=url`, which boto3 always sends.

ministack does so for ListObjects and ListObjectsV2. Without it, a key with a control character makes the XML
of ListObjectVersions invalid, and no version of the bucket can be listed.
https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectVersions.html
"""

import inspect
from contextvars import ContextVar
from typing import Any, Final
from urllib.parse import quote
from xml.etree.ElementTree import Element, SubElement

from localcloud.ministack.errors import IncompatibleMinistackError

_ENCODED: Final = frozenset({"Delimiter", "Key", "KeyMarker", "NextKeyMarker", "Prefix"})


def encode_keys(root: Element) -> None:
    """Percent-encode the keys in an answer, and say so in it."""
    for element in root.iter():
        if element.tag in _ENCODED and element.text:
            element.text = quote(element.text, safe="/")
    SubElement(root, "EncodingType").text = "url"


def apply() -> None:
    """Repair the imported ministack.

    Raises:
        IncompatibleMinistackError: it does not fit.
    """
    from ministack.services import s3  # type: ignore[import-untyped]  # noqa: PLC0415

    listed, body = s3._list_object_versions, s3._xml_body  # noqa: SLF001
    if list(inspect.signature(listed).parameters) != ["bucket_name", "query_params"]:
        raise IncompatibleMinistackError("versions are listed in another way")
    encoded: ContextVar[bool] = ContextVar("encoded", default=False)

    def list_encoded(bucket_name: str, query_params: Any) -> Any:
        token = encoded.set(s3._qp(query_params, "encoding-type", "") == "url")  # noqa: SLF001
        try:
            return listed(bucket_name, query_params)
        finally:
            encoded.reset(token)

    def encoded_body(root: Element) -> bytes:
        if encoded.get():
            encode_keys(root)
        answer: bytes = body(root)
        return answer

    s3._list_object_versions = list_encoded  # noqa: SLF001
    s3._xml_body = encoded_body  # noqa: SLF001
