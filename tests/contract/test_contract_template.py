"""The template: names, parameter bounds, private buckets, retained data, logs, delivered alarms."""

import json
import re
import tomllib
from typing import Any

import pytest

from model_build.archive.package import DEFAULT_MODEL
from operations.doctor import LONGEST_STACK_NAME
from tests.support.sam_app import (
    FOLDERS,
    LOGICAL_IDS,
    ROOT,
    constant,
    parameter_default,
    resources,
    template,
)

TEMPLATE = template()
PARAMETERS = TEMPLATE["Parameters"]
RESOURCES = TEMPLATE["Resources"]
TEXT = (ROOT / "template.yaml").read_text(encoding="utf-8")
THRESHOLDS = [".9", "+0.9", "1.", "0,9", "1.1", "-0.1", "", "0.9 ", "1e-1", "NaN"]
HOLDS_DATA = {"AWS::S3::Bucket", "AWS::DynamoDB::Table", "AWS::SQS::Queue"}


def test_labels_and_threshold_are_those_of_the_shipped_model() -> None:
    manifest = json.loads((DEFAULT_MODEL / "manifest.json").read_text(encoding="utf-8"))
    assert parameter_default("ClassLabels").split(",") == manifest["labels"]
    assert float(parameter_default("ConfidenceThreshold")) == manifest["default_threshold"], "measured at it"


def test_the_public_names_exist() -> None:
    names = "SerializeImageFunction ClassifyImageFunction FilterInferenceFunction ClassifyImageStateMachine"
    assert {*names.split(), "PhotoBucket", "ResultsTable", "ReviewQueue", "AlertTopic"} <= set(RESOURCES)
    outputs = "PhotoBucketName ClassifyImageStateMachineArn ResultsTableName ReviewQueueUrl AlertTopicArn"
    assert set(outputs.split()) <= set(TEMPLATE["Outputs"])
    assert all(output["Description"] for output in TEMPLATE["Outputs"].values())


@pytest.mark.parametrize(("name", "parameter"), PARAMETERS.items())
def test_a_parameter_has_a_description_a_default_and_bounds(name: str, parameter: dict[str, Any]) -> None:
    assert parameter["Description"]
    assert {"AllowedValues", "AllowedPattern", "MinValue"} & set(parameter)
    # SAM CLI passes an unquoted number default on as an empty string.
    assert isinstance(parameter["Default"], str)
    if "AllowedPattern" in parameter:
        assert re.fullmatch(parameter["AllowedPattern"], parameter["Default"])
        assert parameter["ConstraintDescription"]
    groups = TEMPLATE["Metadata"]["AWS::CloudFormation::Interface"]["ParameterGroups"]
    assert [name for group in groups for shown in group["Parameters"] if shown == name] == [name]


@pytest.mark.parametrize(
    ("parameter", "allowed", "refused"),
    [
        ("EndpointName", ["scones-vehicle-classifier"], ["Scones", "-scones", "a" * 64]),
        ("ClassLabels", ["bicycle,motorcycle,van"], ["bicycle", "bicycle, motorcycle", "bicycle,"]),
        ("BucketName", ["", "scones-photos"], ["Scones"]),
        ("AlertEmail", ["", "ops@example.com"], ["ops"]),
        ("ConfidenceThreshold", ["0.9"], THRESHOLDS),
    ],
)
def test_patterns_match_as_expected(parameter: str, allowed: list[str], refused: list[str]) -> None:
    pattern = PARAMETERS[parameter]["AllowedPattern"]
    assert [value for value in (*allowed, *refused) if re.fullmatch(pattern, value)] == allowed


def test_the_memory_holds_the_largest_photo_that_is_allowed() -> None:
    """Measured: a process takes 67 MB, and 18.1 bytes a pixel of a 16-bit grey PNG with a colour key."""
    needed = 67 + constant("Photo", "MaxPixels") * 18.1 / 2**20
    assert needed < 0.9 * RESOURCES["SerializeImageFunction"]["Properties"]["MemorySize"]


@pytest.mark.parametrize("folder", FOLDERS)
def test_a_functions_log_group_exists_before_it_and_has_a_retention(folder: str) -> None:
    function = RESOURCES[LOGICAL_IDS[folder]]["Properties"]
    group = RESOURCES[function["LoggingConfig"]["LogGroup"]["Ref"]]
    assert group["Type"] == "AWS::Logs::LogGroup"
    assert group["Properties"]["RetentionInDays"] == {"Ref": "LogRetentionDays"}
    assert function["LoggingConfig"]["LogFormat"] == "JSON"
    assert (ROOT / function["CodeUri"] / "app.py").is_file()


@pytest.mark.parametrize("name", [n for n, r in RESOURCES.items() if r["Type"] in HOLDS_DATA])
def test_data_outlives_the_stack_but_not_a_failed_first_deployment(name: str) -> None:
    assert RESOURCES[name]["DeletionPolicy"] == "RetainExceptOnCreate"
    assert RESOURCES[name]["UpdateReplacePolicy"] == "Retain"


def test_queues_are_encrypted_and_buckets_private_encrypted_and_tls_only() -> None:
    assert all(q["Properties"]["SqsManagedSseEnabled"] is True for q in resources("AWS::SQS::Queue").values())
    for name, bucket in resources("AWS::S3::Bucket").items():
        properties = bucket["Properties"]
        assert set(properties["PublicAccessBlockConfiguration"].values()) == {True}
        assert properties["BucketEncryption"]["ServerSideEncryptionConfiguration"]
        policies = [
            policy["Properties"]["PolicyDocument"]["Statement"]
            for policy in resources("AWS::S3::BucketPolicy").values()
            if policy["Properties"]["Bucket"] == {"Ref": name}
        ]
        ((statement,),) = policies
        assert (statement["Effect"], statement["Principal"], statement["Action"]) == ("Deny", "*", "s3:*")
        assert statement["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
        assert len(statement["Resource"]) == 2


def test_what_expires_is_deleted_a_day_later() -> None:
    """In a bucket with versions, expiration leaves a noncurrent version behind."""
    rules = RESOURCES["PhotoBucket"]["Properties"]["LifecycleConfiguration"]["Rules"]
    expiring = [r for rule in rules if "ExpirationInDays" in (r := rule.get("Fn::If", ["", rule])[1])]
    assert [rule["Prefix"] for rule in expiring] == ["incoming/", "labelled/", "runs/"]
    assert all(rule["NoncurrentVersionExpiration"] == {"NoncurrentDays": 1} for rule in expiring)


def test_alarms_may_publish_to_the_topic() -> None:
    for alarm in resources("AWS::CloudWatch::Alarm").values():
        assert alarm["Properties"]["AlarmActions"] == [{"Ref": "AlertTopic"}]
        assert alarm["Properties"]["AlarmDescription"]
        assert alarm["Properties"]["TreatMissingData"] == "notBreaching"
    # SNS's own policy lets alarms of the account publish; AWS's key for SNS would not let them.
    assert not resources("AWS::SNS::TopicPolicy")
    assert set(RESOURCES["AlertTopic"]["Properties"]) == {"DisplayName"}


def test_no_policy_or_pattern_guesses_a_generated_name() -> None:
    """CloudFormation cuts generated names, the stack's half at 25 characters: `<stack>-*` matches none."""
    guesses = [line.strip() for line in TEXT.splitlines() if "${AWS::StackName}-*" in line]
    assert guesses == []
    names = {
        resource["Properties"]["Name"]["Fn::Sub"].replace("${AWS::StackName}", "s" * LONGEST_STACK_NAME)
        for resource in RESOURCES.values()
        if "Name" in resource["Properties"]
    }
    assert names
    assert max(map(len, names)) == 80, "what Step Functions allows"


def test_every_lint_suppression_has_a_reason() -> None:
    assert "cfn-lint" not in TEXT
    lines = (ROOT / ".checkov.yaml").read_text(encoding="utf-8").partition("skip-check:\n")[2].splitlines()
    assert lines
    assert all(re.fullmatch(r"  - CKV_AWS_\d+ # \S.{30,}", line) for line in lines)


def test_the_template_has_no_yaml_aliases() -> None:
    assert not re.search(r":\s+[&*]\w", TEXT), "CloudFormation does not support them"


def test_the_makefile_and_the_template_have_the_same_default_target() -> None:
    makefile = (ROOT / "functions" / "serialize_image" / "Makefile").read_text(encoding="utf-8")
    defaults = dict(re.findall(r"^(\w+) \?= (\S+)$", makefile, re.MULTILINE))
    assert defaults["PYTHON_RUNTIME"] == parameter_default("PythonRuntime")
    assert defaults["ARCHITECTURE"] == parameter_default("Architecture")
    (runtimes,) = re.findall(r"^RUNTIMES := (.+)$", makefile, re.MULTILINE)
    assert runtimes.split() == PARAMETERS["PythonRuntime"]["AllowedValues"]
    for architecture in PARAMETERS["Architecture"]["AllowedValues"]:
        assert f"MACHINE_{architecture} :=" in makefile


def test_only_serialize_image_has_requirements() -> None:
    found = sorted(path.parent.name for path in (ROOT / "functions").glob("*/requirements.txt"))
    assert found == ["serialize_image"]
    lines = (ROOT / "functions" / "serialize_image" / "requirements.txt").read_text(encoding="utf-8")
    assert re.findall(r"^([a-z]\S+?)==", lines, re.MULTILINE) == ["pillow"]
    assert "--hash=sha256:" in lines
    assert "http" not in lines


def test_samconfig_names_existing_parameters() -> None:
    config = tomllib.loads((ROOT / "samconfig.toml").read_text(encoding="utf-8"))
    assert {"default", "local"} <= set(config)
    overrides = config["local"]["deploy"]["parameters"]["parameter_overrides"]
    given = dict(pair.split("=", 1) for pair in overrides.split())
    assert set(given) <= set(PARAMETERS)
    assert given["BucketName"] == "scones-photos"
