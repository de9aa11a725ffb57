"""What each command says and how it ends when it is used as people use things: one line, no traceback.

The programs run in a folder of their own, without the user's AWS account.
"""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from moto.moto_server.threaded_moto_server import ThreadedMotoServer

import localcloud.__main__
import model_build.__main__
import operations.__main__
from localcloud.state import StateFolder
from model_build.archive.package import DEFAULT_MODEL

PROGRAMS = {
    "localcloud": localcloud.__main__.main,
    "model_build": model_build.__main__.main,
    "operations": operations.__main__.main,
}
STATUS = "model_build status --endpoint-name e"
DEPLOY = "model_build deploy --model shipped --endpoint-name e --role-arn arn:aws:iam::123456789012:role/x"
ACCOUNT = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_DEFAULT_REGION": "eu-west-1"}
NOWHERE = ACCOUNT | {"AWS_ENDPOINT_URL": "http://127.0.0.1:9"}
NO_REGION = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}
NOBODY = {"AWS_DEFAULT_REGION": "eu-west-1", "AWS_EC2_METADATA_DISABLED": "true"}
PROFILE = {"AWS_PROFILE": "nobody", "AWS_DEFAULT_REGION": "eu-west-1"}
# Command lines in environments, their exit codes, and a part of the one line that each prints
MISTAKES: list[tuple[str, int, str, dict[str, str]]] = [
    # A name that does not exist, a name that is misspelt
    ("model_build predcit a.jpg", 2, "Did you mean predict", {}),
    ("model_build predict no.jpg", 2, "'no.jpg' does not exist", {}),
    ("model_build predict --model no/such photo.jpg", 2, "no/such", {}),
    ("model_build evaluate --data no.tar.gz", 2, "no.tar.gz", {}),
    # A folder without photos, a file that is not what it should be
    ("localcloud demo --photos empty", 2, "there are no photos in empty", {}),
    ("localcloud demo --photos photo.jpg", 2, "'photo.jpg' is a file", {}),
    ("localcloud demo --model photo.jpg", 1, "photo.jpg cannot be extracted", {}),
    # Numbers and times out of bounds
    ("model_build delete --endpoint-name e --timeout inf", 2, "above 0", {}),
    # Nothing runs, something else does, the folder or the disk does not take it
    ("localcloud up --state /proc/state", 1, "/proc/state", {}),
    ("localcloud down --erase", 2, "give --yes", {}),
    ("localcloud up --state busy", 1, "is starting the local cloud of", {}),
    ("localcloud up --bind 192.0.2.1 --state s", 1, "cannot listen on 192.0.2.1", {}),
    ("model_build samples --output /proc/samples", 2, "cannot write to /proc/samples", {}),
    ("model_build package --model shipped --output /proc/m.tar.gz", 1, "/proc/m.tar.gz", {}),
    # AWS: no region, no account, an unknown profile, no connection, no such stack or bucket
    ("operations results", 1, "no AWS region is set", NO_REGION),
    ("operations results", 1, "no AWS credentials were found", NOBODY),
    ("operations results", 1, "The config profile (nobody) could not be found", PROFILE),
    ("operations results --profile nobody", 1, "profile (nobody)", ACCOUNT),
    ("operations results", 1, "Could not connect to the endpoint URL", NOWHERE),
    ("operations results --stack-name mine", 1, "no stack 'mine' in eu-west-1", ACCOUNT),
    ("operations send photo.jpg", 1, "there is no stack 'scones' in eu-west-1", ACCOUNT),
    (STATUS, 1, "profile (nobody)", PROFILE),
    (STATUS, 1, "no AWS region is set", NO_REGION),
    (STATUS, 1, "Could not connect", NOWHERE),
    (f"{DEPLOY} --bucket no-such-bucket", 1, "no-such-bucket", ACCOUNT),
]


@pytest.fixture(scope="module")
def aws() -> Iterator[str]:
    """Return the URL of an AWS without stacks and buckets."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda mistake: " ".join((mistake[0][:80], *mistake[3])))
def test_a_mistake_is_told_in_one_line(
    mistake: tuple[str, int, str, dict[str, str]],
    tmp_path: Path,
    aws: str,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "photo.jpg").write_bytes(b"not a photo")
    (tmp_path / "shipped").symlink_to(DEFAULT_MODEL)
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    line, code, reported, variables = mistake
    home = {"HOME": str(tmp_path), "SCONES_STATE": str(tmp_path / "state"), "AWS_ENDPOINT_URL": aws}
    for name, value in (home | variables).items():
        monkeypatch.setenv(name, value)
    program, *arguments = line.split()
    with StateFolder(tmp_path / "busy").reserved():
        assert PROGRAMS[program](arguments) == code
    (*before, last) = capfd.readouterr().err.splitlines()
    assert reported in last
    assert last.startswith(f"python -m {program}")
    assert not any("Traceback" in other for other in before)
    assert len(before) <= 2, "notices of what was done before, if anything"
