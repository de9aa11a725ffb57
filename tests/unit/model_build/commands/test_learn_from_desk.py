"""What a stack has to learn from, from AWS in memory."""

from pathlib import Path

import boto3
import pytest

from model_build.commands.learn import accepted_share, download_labelled, stack_outputs
from model_build.errors import ModelBuildError
from tests.support import desk_stack
from tests.support.desk_stack import BUCKET, TABLE


def test_the_folder_follows_what_people_decided(tmp_path: Path, session: boto3.Session) -> None:
    desk_stack.create(session)
    s3 = session.client("s3")
    with pytest.raises(ModelBuildError, match=r"photos: nobody has decided on a photo yet"):
        download_labelled(BUCKET, tmp_path, session)
    for key in ("labelled/bicycle/a.jpg", "labelled/other/b.jpg", "incoming/c.jpg"):
        s3.put_object(Bucket=BUCKET, Key=key, Body=key.encode())
    download_labelled(BUCKET, tmp_path, session)
    assert len([*tmp_path.rglob("*.jpg")]) == 2
    s3.delete_object(Bucket=BUCKET, Key="labelled/other/b.jpg")
    s3.put_object(Bucket=BUCKET, Key="labelled/motorcycle/b.jpg", Body=b"labelled again")
    download_labelled(BUCKET, tmp_path, session)
    files = {str(path.relative_to(tmp_path)): path.read_bytes() for path in tmp_path.rglob("*.jpg")}
    assert files == {"bicycle/a.jpg": b"labelled/bicycle/a.jpg", "motorcycle/b.jpg": b"labelled again"}


def test_share_of_photos_that_were_accepted(session: boto3.Session) -> None:
    desk_stack.create(session)
    assert accepted_share(TABLE, session) is None
    desk_stack.record(session, [0.95, 0.8, 0.9, 0.6])
    assert accepted_share(TABLE, session) == 0.75


def test_a_stack_that_does_not_exist_or_is_another_applications_is_named(session: boto3.Session) -> None:
    with pytest.raises(ModelBuildError, match=r"stack scones: .*scones.* does not exist"):
        stack_outputs("scones", session)
    template = '{"Resources": {"T": {"Type": "AWS::SNS::Topic"}}}'
    session.client("cloudformation").create_stack(StackName="scones", TemplateBody=template)
    with pytest.raises(ModelBuildError, match=r"stack scones has no output PhotoBucketName"):
        stack_outputs("scones", session)
