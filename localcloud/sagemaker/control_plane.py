"""The control plane: training jobs, models, endpoint configurations, endpoints and their tags."""

import re
import shutil
import threading
from functools import partial
from pathlib import Path
from typing import Any, Final

from botocore.exceptions import ClientError, ParamValidationError

from commandline.errors import UsageError
from localcloud.sagemaker.endpoints import Endpoint
from localcloud.sagemaker.resources import (
    Collection,
    Config,
    Json,
    Model,
    Operation,
    client,
    invalid,
)
from localcloud.sagemaker.training import TrainingJob
from operations.s3 import split_uri

_REGISTRY_IMAGE: Final = re.compile(r"\d{12}\.dkr\.ecr\.[a-z0-9-]+\.amazonaws\.com(\.cn)?/.+")
_SERVERLESS_MEMORY_STEP_MB: Final = 1024


class ControlPlane:
    """SageMaker's control plane, as far as training jobs and endpoints need it.

    The operations take requests and return answers of the API:
    https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_Operations_Amazon_SageMaker_Service.html.
    Endpoints unpack their versions and keep their logs in `folder`.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.lock = threading.RLock()  # held by whoever runs an operation
        self._models = Collection(Model)
        self._configs = Collection(Config)
        self.endpoints = Collection(Endpoint)
        self._jobs = Collection(TrainingJob)
        self.operations: dict[str, Operation] = {
            **self._models.operations("Models"),
            **self._configs.operations("EndpointConfigs"),
            **self.endpoints.operations("Endpoints"),
            **self._jobs.operations("TrainingJobSummaries"),
            "CreateModel": self._create_model,
            "DeleteModel": partial(_delete, self._models, "ModelName"),
            "CreateEndpointConfig": self._create_endpoint_config,
            "DeleteEndpointConfig": partial(_delete, self._configs, "EndpointConfigName"),
            "CreateEndpoint": self._create_endpoint,
            "UpdateEndpoint": self._update_endpoint,
            "DeleteEndpoint": self._delete_endpoint,
            "CreateTrainingJob": self._create_training_job,
            "StopTrainingJob": lambda params: self._jobs[params["TrainingJobName"]].stop(),
            "AddTags": self._change_tags,
            "DeleteTags": self._change_tags,
            "ListTags": lambda params: {"Tags": self._tags_of(params["ResourceArn"])},
        }
        for left_over in ("versions", "training", "logs"):
            shutil.rmtree(folder / left_over, ignore_errors=True)
        (folder / "logs").mkdir(parents=True)

    def close(self) -> None:
        """Stop all training jobs and endpoints at once."""
        for job in self._jobs.values():
            job.close()
        for endpoint in list(self.endpoints.values()):
            endpoint.close()
        shutil.rmtree(self._folder / "versions", ignore_errors=True)

    def _create_model(self, params: Json) -> Json:
        arn = self._models.new_arn(params["ModelName"])
        container = _primary_container(params)
        if not _REGISTRY_IMAGE.fullmatch(container.get("Image", "")):
            raise invalid(
                f'Using non-ECR image "{container.get("Image", "")}" without Vpc repository access mode is '
                "not supported."
            )
        _require_model_data(container.get("ModelDataUrl", ""))
        return self._models.add(Model(params["ModelName"], arn, params))

    def _create_endpoint_config(self, params: Json) -> Json:
        """Answer CreateEndpointConfig for one production variant, on an instance or serverless."""
        arn = self._configs.new_arn(params["EndpointConfigName"])
        _check_variant(params)
        model = self._models[params["ProductionVariants"][0].get("ModelName", "")]
        container = _primary_container(model.request)
        return self._configs.add(Config(params["EndpointConfigName"], arn, params, model=container))

    def _create_endpoint(self, params: Json) -> Json:
        arn = self.endpoints.new_arn(params["EndpointName"])
        config = self._configs[params["EndpointConfigName"]]
        return self.endpoints.add(Endpoint(params["EndpointName"], arn, params, config, self._folder))

    def _update_endpoint(self, params: Json) -> Json:
        endpoint = self.endpoints[params["EndpointName"]]
        endpoint.update(self._configs[params["EndpointConfigName"]])
        return {"EndpointArn": endpoint.arn}

    def _delete_endpoint(self, params: Json) -> Json:
        endpoint = self.endpoints[params["EndpointName"]]

        def gone() -> None:
            with self.lock:
                del self.endpoints[endpoint.name]

        endpoint.delete(gone)
        return {}

    def _create_training_job(self, params: Json) -> Json:
        arn = self._jobs.new_arn(params["TrainingJobName"])
        return self._jobs.add(TrainingJob(params["TrainingJobName"], arn, params, self._folder))

    def _tags_of(self, arn: str) -> list[Json]:
        for records in (self._models, self._configs, self.endpoints, self._jobs):
            for record in records.values():
                if record.arn == arn:
                    tags: list[Json] = record.request.setdefault("Tags", [])
                    return tags
        raise invalid(f'Could not find resource "{arn}".')

    def _change_tags(self, params: Json) -> Json:
        """Answer AddTags, or DeleteTags."""
        tags, added = self._tags_of(params["ResourceArn"]), params.get("Tags", [])
        replaced = {*params.get("TagKeys", []), *(tag["Key"] for tag in added)}
        tags[:] = [tag for tag in tags if tag["Key"] not in replaced] + added
        return {"Tags": tags} if added else {}


def _delete(records: Collection[Any], name: str, params: Json) -> Json:
    """Forget a model or a configuration; endpoints go on without it."""
    record = records[params[name]]
    del records[record.name]
    return {}


def _primary_container(params: Json) -> Json:
    containers: list[Json] = params.get("Containers") or [params.get("PrimaryContainer", {})]
    if len(containers) != 1:
        raise invalid("This emulator serves models of one container: give PrimaryContainer.")
    return containers[0]


def _require_model_data(url: str) -> None:
    try:
        bucket, key = split_uri(url)
        client("s3").head_object(Bucket=bucket, Key=key)
    except (ClientError, ParamValidationError, UsageError) as error:
        raise invalid(f"Could not find model data at {url or '(no ModelDataUrl)'}.") from error


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
