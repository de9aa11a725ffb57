"""The control plane: training jobs, models, endpoint configurations, endpoints and their tags."""

import re
import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from localcloud.faults import of_this_process
from localcloud.sagemaker.endpoints import Config, Endpoint
from localcloud.sagemaker.resources import (
    ApiError,
    Collection,
    Resource,
    bucket_and_key,
    client,
    invalid,
)
from localcloud.sagemaker.training import TrainingJob

Json = dict[str, Any]
Operation = Callable[[Json], Json]

_REGISTRY_IMAGE = re.compile(r"\d{12}\.dkr\.ecr\.[a-z0-9-]+\.amazonaws\.com(\.cn)?/.+")
_SERVERLESS_MEMORY_STEP_MB = 1024


class ControlPlane:
    """SageMaker's control plane, as far as training jobs and endpoints need it.

    The operations take requests and return answers of the API:
    https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_Operations_Amazon_SageMaker_Service.html.
    Endpoints unpack their versions and keep their logs in `folder`.
    """

    def __init__(self, folder: Path) -> None:
        self.faults = of_this_process()
        self._folder = folder
        self.lock = threading.RLock()  # held by whoever runs an operation
        self._models: Collection[Resource] = Collection("model", "Model")
        self._configs: Collection[Config] = Collection("endpoint-config", "EndpointConfig")
        self._endpoints: Collection[Endpoint] = Collection("endpoint", "Endpoint")
        self._jobs: Collection[TrainingJob] = Collection("training-job", "TrainingJob")
        self._tags: dict[str, dict[str, str]] = {}
        self.operations: dict[str, Operation] = {
            "CreateModel": self._create_model,
            "CreateEndpointConfig": self._create_endpoint_config,
            "CreateEndpoint": self._create_endpoint,
            "UpdateEndpoint": self._update_endpoint,
            "DescribeEndpoint": lambda params: self._endpoints.find(params["EndpointName"]).describe(),
            "DeleteEndpoint": self._delete_endpoint,
            "ListEndpoints": lambda params: self._endpoints.page(params, "Endpoints"),
            "CreateTrainingJob": self._create_training_job,
            "DescribeTrainingJob": lambda params: self._jobs.find(params["TrainingJobName"]).describe(),
            "StopTrainingJob": self._stop_training_job,
            "ListTrainingJobs": lambda params: self._jobs.page(params, "TrainingJobSummaries"),
            "AddTags": self._add_tags,
            "ListTags": lambda params: {"Tags": _as_list(self._tags_of(params["ResourceArn"]))},
            "DeleteTags": self._delete_tags,
        }
        for kept in (self._models, self._configs):
            self.operations |= self._record_operations(kept)
        for left_over in ("versions", "training", "logs"):
            shutil.rmtree(folder / left_over, ignore_errors=True)
        (folder / "logs").mkdir(parents=True)

    def endpoint(self, name: str) -> Endpoint | None:
        """Return the endpoint of that name, for the runtime; None if there is none."""
        return next((endpoint for endpoint in self._endpoints if endpoint.name == name), None)

    def close(self) -> None:
        """Stop all training jobs and endpoints at once."""
        for job in self._jobs:
            job.close()
        for endpoint in self._endpoints:
            endpoint.close()
        shutil.rmtree(self._folder / "versions", ignore_errors=True)

    def _record_operations(self, records: Collection[Any]) -> dict[str, Operation]:
        """Return Describe, Delete and List of models or configurations; endpoints go on without them."""
        prefix = records.prefix
        name, arn = f"{prefix}Name", f"{prefix}Arn"

        def describe(params: Json) -> Json:
            record = records.find(params[name])
            shown = {key: value for key, value in record.request.items() if key != "Tags"}
            isolation = {"EnableNetworkIsolation": False} if prefix == "Model" else {}
            return isolation | shown | {arn: record.arn, "CreationTime": record.created}

        def delete(params: Json) -> Json:
            self._forget(records, params[name])
            return {}

        return {
            f"Describe{prefix}": describe,
            f"Delete{prefix}": delete,
            f"List{prefix}s": lambda params: records.page(params, f"{prefix}s"),
        }

    def _create_model(self, params: Json) -> Json:
        """Answer CreateModel; the archive must exist, as on SageMaker."""
        arn = self._models.refuse_existing(params["ModelName"])
        container = _primary_container(params)
        if not _REGISTRY_IMAGE.fullmatch(container.get("Image", "")):
            raise invalid(
                f'Using non-ECR image "{container.get("Image", "")}" without Vpc repository access mode is '
                "not supported."
            )
        _require_model_data(container)
        return self._add(self._models, Resource(params["ModelName"], arn, params))

    def _create_endpoint_config(self, params: Json) -> Json:
        """Answer CreateEndpointConfig for one production variant, on an instance or serverless."""
        arn = self._configs.refuse_existing(params["EndpointConfigName"])
        _check_variant(params)
        model = self._models.find(params["ProductionVariants"][0].get("ModelName", ""))
        container = _primary_container(model.request)
        return self._add(self._configs, Config(params["EndpointConfigName"], arn, params, model=container))

    def _create_endpoint(self, params: Json) -> Json:
        """Answer CreateEndpoint; it comes up in the background."""
        arn = self._endpoints.refuse_existing(params["EndpointName"])
        config = self._configs.find(params["EndpointConfigName"])
        endpoint = Endpoint(params["EndpointName"], arn, params, config, self._folder)
        return self._add(self._endpoints, endpoint)

    def _update_endpoint(self, params: Json) -> Json:
        """Answer UpdateEndpoint; the old version serves until the new one is healthy."""
        endpoint = self._endpoints.find(params["EndpointName"])
        endpoint.update(self._configs.find(params["EndpointConfigName"]))
        return {"EndpointArn": endpoint.arn}

    def _delete_endpoint(self, params: Json) -> Json:
        """Answer DeleteEndpoint; it is Deleting until the requests in flight are answered."""
        endpoint = self._endpoints.find(params["EndpointName"])
        stopping = endpoint.delete()
        threading.Thread(target=self._forget_when_stopped, args=(endpoint, stopping), daemon=True).start()
        return {}

    def _create_training_job(self, params: Json) -> Json:
        """Answer CreateTrainingJob; it runs in the background."""
        arn = self._jobs.refuse_existing(params["TrainingJobName"])
        return self._add(self._jobs, TrainingJob(params["TrainingJobName"], arn, params, self._folder))

    def _stop_training_job(self, params: Json) -> Json:
        self._jobs.find(params["TrainingJobName"]).stop()
        return {}

    def _add_tags(self, params: Json) -> Json:
        tags = self._tags_of(params["ResourceArn"])
        tags |= {tag["Key"]: tag["Value"] for tag in params["Tags"]}
        return {"Tags": _as_list(tags)}

    def _delete_tags(self, params: Json) -> Json:
        tags = self._tags_of(params["ResourceArn"])
        for key in params["TagKeys"]:
            tags.pop(key, None)
        return {}

    def _tags_of(self, arn: str) -> dict[str, str]:
        if arn not in self._tags:
            raise invalid(f'Could not find resource "{arn}".')
        return self._tags[arn]

    def _add(self, records: Collection[Any], record: Resource) -> Json:
        records.add(record)
        self._tags[record.arn] = {tag["Key"]: tag["Value"] for tag in record.request.get("Tags", [])}
        return {f"{records.prefix}Arn": record.arn}

    def _forget(self, records: Collection[Any], name: str) -> None:
        self._tags.pop(records.find(name).arn, None)
        records.discard(name)

    def _forget_when_stopped(self, endpoint: Endpoint, stopping: threading.Thread) -> None:
        stopping.join()
        with self.lock:
            self._forget(self._endpoints, endpoint.name)


def _primary_container(params: Json) -> Json:
    if "PrimaryContainer" in params:
        container: Json = params["PrimaryContainer"]
        return container
    if len(params.get("Containers", [])) == 1:
        only: Json = params["Containers"][0]
        return only
    raise invalid("This emulator serves models of one container: give PrimaryContainer.")


def _require_model_data(container: Json) -> None:
    url = container.get("ModelDataUrl", "")
    bucket, key = bucket_and_key(url)
    try:
        if not (url.startswith("s3://") and key):
            raise invalid(f"Could not find model data at {url or '(no ModelDataUrl)'}.")
        client("s3").head_object(Bucket=bucket, Key=key)
    except ClientError as error:
        raise invalid(f"Could not find model data at {url}.") from error
    except BotoCoreError as error:
        raise ApiError("InternalFailure", f"model data at {url}: {error}", status=500) from error


def _check_variant(params: Json) -> None:
    variants = params["ProductionVariants"]
    if len(variants) != 1 or params.get("ShadowProductionVariants") or params.get("AsyncInferenceConfig"):
        raise invalid("This emulator serves one production variant, without shadow variants, synchronously.")
    variant = variants[0]
    serverless = variant.get("ServerlessConfig")
    if bool(serverless) == ("InstanceType" in variant):
        raise invalid("A production variant needs either InstanceType or ServerlessConfig.")
    if not serverless and variant.get("InitialInstanceCount") is None:
        raise invalid("InitialInstanceCount is required for a production variant with InstanceType.")
    if serverless and serverless["MemorySizeInMB"] % _SERVERLESS_MEMORY_STEP_MB:
        raise invalid("MemorySizeInMB of a serverless variant must be a multiple of 1024, from 1024 to 6144.")
    if serverless and params.get("DataCaptureConfig"):
        raise invalid("Data capture is not supported for serverless endpoints.")


def _as_list(tags: dict[str, str]) -> list[dict[str, str]]:
    return [{"Key": key, "Value": value} for key, value in tags.items()]
