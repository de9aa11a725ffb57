"""Data capture: requests and answers of an endpoint, in SageMaker's JSON-lines layout on S3.

Files are named `<destination>/<endpoint>/<variant>/yyyy/mm/dd/hh/<mm-ss-mmm>-<uuid>.jsonl` and hold one
object a line; see
https://docs.aws.amazon.com/sagemaker/latest/dg/model-monitor-data-capture-endpoint.html.
"""

import base64
import json
import logging
import random
import threading
import time
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from queue import SimpleQueue
from typing import Final

from botocore.exceptions import BotoCoreError, ClientError

from localcloud.sagemaker.resources import Json, client
from operations.s3 import split_uri

_log = logging.getLogger(__name__)
_FLUSH_AFTER_S: Final = 1.0


@dataclass(frozen=True)
class Exchange:
    """One request and its answer, as they went over the wire."""

    request_type: str
    request: bytes
    answer_type: str
    answer: bytes
    inference_id: str = ""
    custom_attributes: str = ""


def _side(mode: str, content_type: str, data: bytes, header: dict[str, list[str]]) -> dict[str, str]:
    plain = content_type.partition(";")[0].strip().lower()
    texts = {kind.lower(): "CSV" for kind in header.get("CsvContentTypes", [])}
    texts |= {kind.lower(): "JSON" for kind in header.get("JsonContentTypes", [])}
    encoding = texts.get(plain, "BASE64")
    text = base64.b64encode(data).decode() if encoding == "BASE64" else data.decode(errors="replace")
    return {"observedContentType": content_type, "mode": mode, "data": text, "encoding": encoding}


def record(exchange: Exchange, config: Json, now: datetime) -> Json:
    """Return one line of a capture file, by the endpoint config's DataCaptureConfig."""
    modes = {option["CaptureMode"] for option in config["CaptureOptions"]}
    header = config.get("CaptureContentTypeHeader", {})
    captured: Json = {}
    if modes & {"Input", "InputAndOutput"}:
        captured["endpointInput"] = _side("INPUT", exchange.request_type, exchange.request, header)
    if modes & {"Output", "InputAndOutput"}:
        captured["endpointOutput"] = _side("OUTPUT", exchange.answer_type, exchange.answer, header)
    metadata: Json = {"eventId": str(uuid.uuid4()), "inferenceTime": now.strftime("%Y-%m-%dT%H:%M:%SZ")}
    if exchange.inference_id:
        metadata["inferenceId"] = exchange.inference_id
    if exchange.custom_attributes:
        metadata["customAttributes"] = [exchange.custom_attributes]
    return {"captureData": captured, "eventMetadata": metadata, "eventVersion": "0"}


class Capture:
    """Writes exchanges of one endpoint variant to S3 in the background; `where` is `endpoint/variant`."""

    def __init__(self, config: Json, where: str) -> None:
        self._config = config
        self._where = where
        self._pending: SimpleQueue[tuple[datetime, str] | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def add(self, exchange: Exchange) -> None:
        """Record one exchange, or skip it: the sampling percentage decides."""
        if random.uniform(0, 100) < self._config["InitialSamplingPercentage"]:  # noqa: S311  # sampling needs no cryptography
            now = datetime.now(UTC)
            self._pending.put((now, json.dumps(record(exchange, self._config, now))))

    def close(self) -> None:
        """Write what is pending and stop."""
        self._pending.put(None)
        self._thread.join(timeout=10)

    def _run(self) -> None:
        closing = False
        while not closing:
            batch = [self._pending.get()]
            if batch[0]:
                time.sleep(_FLUSH_AFTER_S)  # collects a burst in one file, as SageMaker does
            while not self._pending.empty():
                batch.append(self._pending.get())
            closing = None in batch
            if exchanges := [one for one in batch if one]:
                self._write(exchanges)

    def _write(self, batch: list[tuple[datetime, str]]) -> None:
        bucket, prefix = split_uri(self._config["DestinationS3Uri"])
        first = batch[0][0]
        name = f"{first:%M-%S}-{first.microsecond // 1000:03d}-{uuid.uuid4()}.jsonl"
        key = "/".join(filter(None, [prefix.strip("/"), self._where, f"{first:%Y/%m/%d/%H}", name]))
        body = "".join(line + "\n" for _, line in batch).encode()
        try:
            client("s3").put_object(Bucket=bucket, Key=key, Body=body)
        except (ClientError, BotoCoreError) as error:
            _log.warning("data capture to s3://%s/%s: %s", bucket, key, error)
