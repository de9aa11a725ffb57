"""The control plane: training jobs, models, endpoint configurations, endpoints and their tags."""

import re
import shutil
import threading
from pathlib import Path
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from localcloud.sagemaker.aws import client
from localcloud.sagemaker.endpoints import Config, Endpoint
from localcloud.sagemaker.errors import ApiError, invalid
from localcloud.sagemaker.resources import Collection, Resource
from localcloud.sagemaker.training import TrainingJob

Json = dict[str, Any]

_REGISTRY_IMAGE = re.compile(r"\d{12}\.dkr\.ecr\.[a-z0-9-]+\.amazonaws\.com(\.cn)?/.+")
_SERVERLESS_MEMORY_STEP_MB = 1024


class ControlPlane:
    """SageMaker's control plane, as far as training jobs and endpoints need it.

    Each public method is an operation of the API, named and shaped as there:
    https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_Operations_Amazon_SageMaker_Service.html.

    Args:
        folder: Where endpoints unpack their versions and keep their logs.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = threading.RLock()
        self._models: Collection[Resource] = Collection("model", "model")
        self._configs: Collection[Config] = Collection("endpoint-config", "endpoint configuration")
        self._endpoints: Collection[Endpoint] = Collection("endpoint", "endpoint")
        self._jobs: Collection[TrainingJob] = Collection("training-job", "training job")
        self._tags: dict[str, dict[str, str]] = {}
        for left_over in ("versions", "training", "logs"):
            shutil.rmtree(folder / left_over, ignore_errors=True)
        (folder / "logs").mkdir(parents=True)

    def call(self, operation: str, params: Json) -> Json:
        """Run one operation.

        Args:
            operation: Name as in the X-Amz-Target header.
            params: The request, already checked against the service model.

        Raises:
            ApiError: The operation is not one of these, or refuses.
        """
        if operation not in OPERATIONS:
            raise ApiError("UnknownOperationException", f"{operation} is not part of this SageMaker stand-in")
        with self._lock:
            answer: Json = getattr(self, OPERATIONS[operation])(params)
            return answer

    def endpoint(self, name: str) -> Endpoint | None:
        """The endpoint of that name, for the runtime."""
        return next((endpoint for endpoint in self._endpoints if endpoint.name == name), None)

    def close(self) -> None:
        """Stop all training jobs and endpoints at once."""
        for job in self._jobs:
            job.close()
        for endpoint in self._endpoints:
            endpoint.close()
        shutil.rmtree(self._folder / "versions", ignore_errors=True)

    # Models

    def create_model(self, params: Json) -> Json:
        """CreateModel; the archive must be there, as on SageMaker."""
        arn = self._models.refuse_existing(params["ModelName"])
        container = _primary_container(params)
        if not _REGISTRY_IMAGE.fullmatch(container.get("Image", "")):
            raise invalid(
                f'Using non-ECR image "{container.get("Image", "")}" without Vpc repository access mode is '
                "not supported."
            )
        _require_model_data(container)
        self._models.add(Resource(params["ModelName"], arn, params))
        self._tag(arn, params)
        return {"ModelArn": arn}

    def describe_model(self, params: Json) -> Json:
        """DescribeModel."""
        model = self._models.find(params["ModelName"])
        shown = {key: value for key, value in model.request.items() if key != "Tags"}
        made = {"ModelArn": model.arn, "CreationTime": model.created}
        return {"EnableNetworkIsolation": False} | shown | made

    def delete_model(self, params: Json) -> Json:
        """DeleteModel; endpoints that run it go on, as on SageMaker."""
        self._forget(self._models, params["ModelName"])
        return {}

    def list_models(self, params: Json) -> Json:
        """ListModels."""
        found, more = self._models.page(params)
        return more | {
            "Models": [{"ModelName": m.name, "ModelArn": m.arn, "CreationTime": m.created} for m in found]
        }

    # Endpoint configurations

    def create_endpoint_config(self, params: Json) -> Json:
        """CreateEndpointConfig for one production variant, on an instance or serverless."""
        arn = self._configs.refuse_existing(params["EndpointConfigName"])
        _check_variant(params)
        model = self._models.find(params["ProductionVariants"][0].get("ModelName", ""))
        config = Config(params["EndpointConfigName"], arn, params, model=_primary_container(model.request))
        self._configs.add(config)
        self._tag(arn, params)
        return {"EndpointConfigArn": arn}

    def describe_endpoint_config(self, params: Json) -> Json:
        """DescribeEndpointConfig."""
        config = self._configs.find(params["EndpointConfigName"])
        shown = {key: value for key, value in config.request.items() if key != "Tags"}
        return shown | {"EndpointConfigArn": config.arn, "CreationTime": config.created}

    def delete_endpoint_config(self, params: Json) -> Json:
        """DeleteEndpointConfig."""
        self._forget(self._configs, params["EndpointConfigName"])
        return {}

    def list_endpoint_configs(self, params: Json) -> Json:
        """ListEndpointConfigs."""
        found, more = self._configs.page(params)
        return more | {
            "EndpointConfigs": [
                {"EndpointConfigName": c.name, "EndpointConfigArn": c.arn, "CreationTime": c.created}
                for c in found
            ]
        }

    # Endpoints

    def create_endpoint(self, params: Json) -> Json:
        """CreateEndpoint; it comes up in the background."""
        name = params["EndpointName"]
        arn = self._endpoints.refuse_existing(name)
        config = self._configs.find(params["EndpointConfigName"])
        self._endpoints.add(Endpoint(name, arn, params, config, self._folder))
        self._tag(arn, params)
        return {"EndpointArn": arn}

    def update_endpoint(self, params: Json) -> Json:
        """UpdateEndpoint; the old version serves until the new one is healthy."""
        endpoint = self._endpoints.find(params["EndpointName"])
        endpoint.update(self._configs.find(params["EndpointConfigName"]))
        return {"EndpointArn": endpoint.arn}

    def describe_endpoint(self, params: Json) -> Json:
        """DescribeEndpoint."""
        return self._endpoints.find(params["EndpointName"]).describe()

    def delete_endpoint(self, params: Json) -> Json:
        """DeleteEndpoint; it is Deleting until the requests in flight are answered."""
        endpoint = self._endpoints.find(params["EndpointName"])
        stopping = endpoint.delete()
        threading.Thread(target=self._forget_when_stopped, args=(endpoint, stopping), daemon=True).start()
        return {}

    def list_endpoints(self, params: Json) -> Json:
        """ListEndpoints."""
        return _listed(self._endpoints, params, "Endpoints", "Endpoint")

    # Training jobs

    def create_training_job(self, params: Json) -> Json:
        """CreateTrainingJob; it runs in the background."""
        name = params["TrainingJobName"]
        arn = self._jobs.refuse_existing(name)
        self._jobs.add(TrainingJob(name, arn, params, self._folder))
        self._tag(arn, params)
        return {"TrainingJobArn": arn}

    def describe_training_job(self, params: Json) -> Json:
        """DescribeTrainingJob."""
        return self._jobs.find(params["TrainingJobName"]).describe()

    def stop_training_job(self, params: Json) -> Json:
        """StopTrainingJob."""
        self._jobs.find(params["TrainingJobName"]).stop()
        return {}

    def list_training_jobs(self, params: Json) -> Json:
        """ListTrainingJobs."""
        return _listed(self._jobs, params, "TrainingJobSummaries", "TrainingJob")

    # Tags

    def add_tags(self, params: Json) -> Json:
        """AddTags."""
        tags = self._tags_of(params["ResourceArn"])
        tags |= {tag["Key"]: tag["Value"] for tag in params["Tags"]}
        return {"Tags": _as_list(tags)}

    def list_tags(self, params: Json) -> Json:
        """ListTags, in one page: SageMaker allows no more than 50."""
        return {"Tags": _as_list(self._tags_of(params["ResourceArn"]))}

    def delete_tags(self, params: Json) -> Json:
        """DeleteTags."""
        tags = self._tags_of(params["ResourceArn"])
        for key in params["TagKeys"]:
            tags.pop(key, None)
        return {}

    def _tag(self, arn: str, params: Json) -> None:
        self._tags[arn] = {tag["Key"]: tag["Value"] for tag in params.get("Tags", [])}

    def _tags_of(self, arn: str) -> dict[str, str]:
        if arn not in self._tags:
            raise invalid(f'Could not find resource "{arn}".')
        return self._tags[arn]

    def _forget(self, collection: Collection[Any], name: str) -> None:
        self._tags.pop(collection.find(name).arn, None)
        collection.discard(name)

    def _forget_when_stopped(self, endpoint: Endpoint, stopping: threading.Thread) -> None:
        stopping.join()
        with self._lock:
            self._forget(self._endpoints, endpoint.name)


OPERATIONS = {
    "".join(part.capitalize() for part in name.split("_")): name
    for name in vars(ControlPlane)
    if name.split("_")[0] in {"create", "describe", "update", "delete", "list", "add", "stop"}
}
"""Operation name to method name: the methods above are the list of what there is."""


def _listed(
    collection: Collection[Endpoint] | Collection[TrainingJob], params: Json, member: str, prefix: str
) -> Json:
    """A page of what has a status, as the List operations answer it: `prefix` begins its members' names."""
    status = params.get("StatusEquals")
    found, more = collection.page(params, lambda one: status in {None, one.status})
    return more | {
        member: [
            {
                f"{prefix}Name": one.name,
                f"{prefix}Arn": one.arn,
                "CreationTime": one.created,
                "LastModifiedTime": one.modified,
                f"{prefix}Status": one.status,
            }
            for one in found
        ]
    }


def _primary_container(params: Json) -> Json:
    if "PrimaryContainer" in params:
        container: Json = params["PrimaryContainer"]
        return container
    if len(params.get("Containers", [])) == 1:
        only: Json = params["Containers"][0]
        return only
    raise invalid("The SageMaker stand-in serves models of one container: give PrimaryContainer.")


def _require_model_data(container: Json) -> None:
    url = container.get("ModelDataUrl", "")
    bucket, _, key = url.removeprefix("s3://").partition("/")
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
        raise invalid(
            "The SageMaker stand-in serves one production variant, without shadows, not asynchronously."
        )
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
