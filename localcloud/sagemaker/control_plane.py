"""The control plane: training jobs, models, endpoint configurations, endpoints and their tags."""

import re
import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from localcloud.faults.switches import of_this_process
from localcloud.sagemaker.aws import client
from localcloud.sagemaker.endpoints import Config, Endpoint
from localcloud.sagemaker.errors import ApiError, invalid
from localcloud.sagemaker.resources import Collection, Resource
from localcloud.sagemaker.training import TrainingJob

Json = dict[str, Any]
Operation = Callable[[Json], Json]

_REGISTRY_IMAGE = re.compile(r"\d{12}\.dkr\.ecr\.[a-z0-9-]+\.amazonaws\.com(\.cn)?/.+")
_SERVERLESS_MEMORY_STEP_MB = 1024


class ControlPlane:
    """SageMaker's control plane, as far as training jobs and endpoints need it.

    The methods that take `params` are operations of the API, with its requests and answers:
    https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_Operations_Amazon_SageMaker_Service.html.

    Args:
        folder: where endpoints unpack their versions and keep their logs.
    """

    def __init__(self, folder: Path) -> None:
        self.faults = of_this_process()
        self._folder = folder
        self._lock = threading.RLock()
        self._models: Collection[Resource] = Collection("model", "model")
        self._configs: Collection[Config] = Collection("endpoint-config", "endpoint configuration")
        self._endpoints: Collection[Endpoint] = Collection("endpoint", "endpoint")
        self._jobs: Collection[TrainingJob] = Collection("training-job", "training job")
        self._tags: dict[str, dict[str, str]] = {}
        self.operations: dict[str, Operation] = {
            "CreateModel": self.create_model,
            "DescribeModel": self.describe_model,
            "DeleteModel": self.delete_model,
            "ListModels": self.list_models,
            "CreateEndpointConfig": self.create_endpoint_config,
            "DescribeEndpointConfig": self.describe_endpoint_config,
            "DeleteEndpointConfig": self.delete_endpoint_config,
            "ListEndpointConfigs": self.list_endpoint_configs,
            "CreateEndpoint": self.create_endpoint,
            "UpdateEndpoint": self.update_endpoint,
            "DescribeEndpoint": self.describe_endpoint,
            "DeleteEndpoint": self.delete_endpoint,
            "ListEndpoints": self.list_endpoints,
            "CreateTrainingJob": self.create_training_job,
            "DescribeTrainingJob": self.describe_training_job,
            "StopTrainingJob": self.stop_training_job,
            "ListTrainingJobs": self.list_training_jobs,
            "AddTags": self.add_tags,
            "ListTags": self.list_tags,
            "DeleteTags": self.delete_tags,
        }
        for left_over in ("versions", "training", "logs"):
            shutil.rmtree(folder / left_over, ignore_errors=True)
        (folder / "logs").mkdir(parents=True)

    def call(self, operation: str, params: Json) -> Json:
        """Run one operation.

        Args:
            operation: name as in the X-Amz-Target header.
            params: the request, already checked against the service model.

        Raises:
            ApiError: the operation is not one of these, or refuses.
        """
        if operation not in self.operations:
            raise ApiError("UnknownOperationException", f"{operation} is not supported by this emulator")
        with self._lock:
            return self.operations[operation](params)

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

    # Models

    def create_model(self, params: Json) -> Json:
        """Answer CreateModel; the archive must exist, as on SageMaker."""
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
        """Answer DescribeModel."""
        model = self._models.find(params["ModelName"])
        shown = {key: value for key, value in model.request.items() if key != "Tags"}
        made = {"ModelArn": model.arn, "CreationTime": model.created}
        return {"EnableNetworkIsolation": False} | shown | made

    def delete_model(self, params: Json) -> Json:
        """Answer DeleteModel; endpoints that run it go on, as on SageMaker."""
        self._forget(self._models, params["ModelName"])
        return {}

    def list_models(self, params: Json) -> Json:
        """Answer ListModels."""
        found, more = self._models.page(params)
        return more | {
            "Models": [{"ModelName": m.name, "ModelArn": m.arn, "CreationTime": m.created} for m in found]
        }

    # Endpoint configurations

    def create_endpoint_config(self, params: Json) -> Json:
        """Answer CreateEndpointConfig for one production variant, on an instance or serverless."""
        arn = self._configs.refuse_existing(params["EndpointConfigName"])
        _check_variant(params)
        model = self._models.find(params["ProductionVariants"][0].get("ModelName", ""))
        config = Config(params["EndpointConfigName"], arn, params, model=_primary_container(model.request))
        self._configs.add(config)
        self._tag(arn, params)
        return {"EndpointConfigArn": arn}

    def describe_endpoint_config(self, params: Json) -> Json:
        """Answer DescribeEndpointConfig."""
        config = self._configs.find(params["EndpointConfigName"])
        shown = {key: value for key, value in config.request.items() if key != "Tags"}
        return shown | {"EndpointConfigArn": config.arn, "CreationTime": config.created}

    def delete_endpoint_config(self, params: Json) -> Json:
        """Answer DeleteEndpointConfig."""
        self._forget(self._configs, params["EndpointConfigName"])
        return {}

    def list_endpoint_configs(self, params: Json) -> Json:
        """Answer ListEndpointConfigs."""
        found, more = self._configs.page(params)
        return more | {
            "EndpointConfigs": [
                {"EndpointConfigName": c.name, "EndpointConfigArn": c.arn, "CreationTime": c.created}
                for c in found
            ]
        }

    # Endpoints

    def create_endpoint(self, params: Json) -> Json:
        """Answer CreateEndpoint; it comes up in the background."""
        name = params["EndpointName"]
        arn = self._endpoints.refuse_existing(name)
        config = self._configs.find(params["EndpointConfigName"])
        self._endpoints.add(Endpoint(name, arn, params, config, self._folder))
        self._tag(arn, params)
        return {"EndpointArn": arn}

    def update_endpoint(self, params: Json) -> Json:
        """Answer UpdateEndpoint; the old version serves until the new one is healthy."""
        endpoint = self._endpoints.find(params["EndpointName"])
        endpoint.update(self._configs.find(params["EndpointConfigName"]))
        return {"EndpointArn": endpoint.arn}

    def describe_endpoint(self, params: Json) -> Json:
        """Answer DescribeEndpoint."""
        return self._endpoints.find(params["EndpointName"]).describe()

    def delete_endpoint(self, params: Json) -> Json:
        """Answer DeleteEndpoint; it is Deleting until the requests in flight are answered."""
        endpoint = self._endpoints.find(params["EndpointName"])
        stopping = endpoint.delete()
        threading.Thread(target=self._forget_when_stopped, args=(endpoint, stopping), daemon=True).start()
        return {}

    def list_endpoints(self, params: Json) -> Json:
        """Answer ListEndpoints."""
        return _listed(self._endpoints, params, "Endpoints", "Endpoint")

    # Training jobs

    def create_training_job(self, params: Json) -> Json:
        """Answer CreateTrainingJob; it runs in the background."""
        name = params["TrainingJobName"]
        arn = self._jobs.refuse_existing(name)
        self._jobs.add(TrainingJob(name, arn, params, self._folder))
        self._tag(arn, params)
        return {"TrainingJobArn": arn}

    def describe_training_job(self, params: Json) -> Json:
        """Answer DescribeTrainingJob."""
        return self._jobs.find(params["TrainingJobName"]).describe()

    def stop_training_job(self, params: Json) -> Json:
        """Answer StopTrainingJob."""
        self._jobs.find(params["TrainingJobName"]).stop()
        return {}

    def list_training_jobs(self, params: Json) -> Json:
        """Answer ListTrainingJobs."""
        return _listed(self._jobs, params, "TrainingJobSummaries", "TrainingJob")

    # Tags

    def add_tags(self, params: Json) -> Json:
        """Answer AddTags."""
        tags = self._tags_of(params["ResourceArn"])
        tags |= {tag["Key"]: tag["Value"] for tag in params["Tags"]}
        return {"Tags": _as_list(tags)}

    def list_tags(self, params: Json) -> Json:
        """Answer ListTags, in one page: SageMaker allows no more than 50."""
        return {"Tags": _as_list(self._tags_of(params["ResourceArn"]))}

    def delete_tags(self, params: Json) -> Json:
        """Answer DeleteTags."""
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


def _listed(
    collection: Collection[Endpoint] | Collection[TrainingJob], params: Json, member: str, prefix: str
) -> Json:
    """Return a page of resources with a status; `prefix` begins the names of the answer's members."""
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
    raise invalid("This emulator serves models of one container: give PrimaryContainer.")


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
