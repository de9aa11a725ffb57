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
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from localcloud.sagemaker.resources import bucket_and_key, client

_log = logging.getLogger(__name__)
_FLUSH_AFTER_S = 1.0


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


def record(exchange: Exchange, config: dict[str, Any], now: datetime) -> dict[str, Any]:
    """Return one line of a capture file, by the endpoint config's DataCaptureConfig."""
    modes = {option["CaptureMode"] for option in config["CaptureOptions"]}
    header = config.get("CaptureContentTypeHeader", {})
    captured: dict[str, Any] = {}
    if modes & {"Input", "InputAndOutput"}:
        captured["endpointInput"] = _side("INPUT", exchange.request_type, exchange.request, header)
    if modes & {"Output", "InputAndOutput"}:
        captured["endpointOutput"] = _side("OUTPUT", exchange.answer_type, exchange.answer, header)
    metadata: dict[str, Any] = {
        "eventId": str(uuid.uuid4()),
        "inferenceTime": now.strftime("%Y-%m-%dT%H:%M:%SZ"),
    }
    if exchange.inference_id:
        metadata["inferenceId"] = exchange.inference_id
    if exchange.custom_attributes:
        metadata["customAttributes"] = [exchange.custom_attributes]
    return {"captureData": captured, "eventMetadata": metadata, "eventVersion": "0"}


class Capture:
    """Collects exchanges of one endpoint variant and writes them to S3 in the background."""

    def __init__(self, config: dict[str, Any], endpoint: str, variant: str) -> None:
        self._config = config
        self._prefix = f"{endpoint}/{variant}"
        self._pending: list[tuple[datetime, str]] = []
        self._changed = threading.Condition()
        self._closed = False
        self._thread = threading.Thread(target=self._run, name=f"capture-{endpoint}", daemon=True)
        self._thread.start()

    def add(self, exchange: Exchange) -> None:
        """Record one exchange, or skip it: the sampling percentage decides."""
        if random.uniform(0, 100) >= self._config["InitialSamplingPercentage"]:  # noqa: S311  # sampling needs no cryptography
            return
        now = datetime.now(UTC)
        line = json.dumps(record(exchange, self._config, now))
        with self._changed:
            self._pending.append((now, line))
            self._changed.notify()

    def close(self) -> None:
        """Write what is pending and stop."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join(timeout=10)

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._pending or self._closed)
                closing = self._closed
            if not closing:
                time.sleep(_FLUSH_AFTER_S)  # collects a burst in one file, as SageMaker does
            with self._changed:
                batch, self._pending = self._pending, []
            if batch:
                self._write(batch)
            elif closing:
                return

    def _write(self, batch: list[tuple[datetime, str]]) -> None:
        bucket, prefix = bucket_and_key(self._config["DestinationS3Uri"])
        first = batch[0][0]
        name = f"{first:%M-%S}-{first.microsecond // 1000:03d}-{uuid.uuid4()}.jsonl"
        key = "/".join(filter(None, [prefix.strip("/"), self._prefix, f"{first:%Y/%m/%d/%H}", name]))
        body = "".join(line + "\n" for _, line in batch).encode()
        try:
            client("s3").put_object(Bucket=bucket, Key=key, Body=body)
        except (ClientError, BotoCoreError) as error:
            _log.warning("data capture to s3://%s/%s: %s", bucket, key, error)
