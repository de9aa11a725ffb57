"""The labelled photos of a stack, from S3 in memory."""

from pathlib import Path

import boto3
import pytest

from model_build.errors import ModelBuildError
from model_build.learning.desk import download_labelled

TEMPLATE = (
    '{"Resources": {"B": {"Type": "AWS::S3::Bucket", "Properties": {"BucketName": "photos"}}}, '
    '"Outputs": {"PhotoBucketName": {"Value": {"Ref": "B"}}}}'
)


def test_the_folder_follows_what_people_decided(tmp_path: Path, session: boto3.Session) -> None:
    session.client("cloudformation").create_stack(StackName="scones", TemplateBody=TEMPLATE)
    s3 = session.client("s3")
    with pytest.raises(ModelBuildError, match=r"stack scones: nobody has decided on a photo yet"):
        download_labelled("scones", tmp_path, session)
    for key in ("labelled/bicycle/a.jpg", "labelled/other/b.jpg", "incoming/c.jpg"):
        s3.put_object(Bucket="photos", Key=key, Body=key.encode())
    assert download_labelled("scones", tmp_path, session) == 2
    s3.delete_object(Bucket="photos", Key="labelled/other/b.jpg")
    s3.put_object(Bucket="photos", Key="labelled/motorcycle/b.jpg", Body=b"labelled again")
    assert download_labelled("scones", tmp_path, session) == 2
    files = {str(path.relative_to(tmp_path)): path.read_bytes() for path in tmp_path.rglob("*.jpg")}
    assert files == {"bicycle/a.jpg": b"labelled/bicycle/a.jpg", "motorcycle/b.jpg": b"labelled again"}


def test_a_stack_that_does_not_exist_is_named(tmp_path: Path, session: boto3.Session) -> None:
    with pytest.raises(ModelBuildError, match=r"stack scones: .*scones.* does not exist"):
        download_labelled("scones", tmp_path, session)
