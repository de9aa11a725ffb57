"""What each command says and how it ends when it is used as people use things: one line, no traceback.

The programs run in a folder of their own, without the user's AWS account.
"""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from moto.moto_server.threaded_moto_server import ThreadedMotoServer

import localcloud.__main__
import model_build.__main__
import operations.__main__
from localcloud.state import StateFolder
from tests.support.sam_app import ROOT

PROGRAMS = {
    "localcloud": localcloud.__main__.main,
    "model_build": model_build.__main__.main,
    "operations": operations.__main__.main,
}
MODEL = str(ROOT / "model_build" / "default_model")
ROLE = "arn:aws:iam::123456789012:role/scones-model"
DEPLOY = ["deploy", "--model", MODEL, "--endpoint-name", "e", "--role-arn", ROLE, "--bucket"]
ACCOUNT = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_DEFAULT_REGION": "eu-west-1"}
NOWHERE = ACCOUNT | {"AWS_ENDPOINT_URL": "http://127.0.0.1:9"}
NO_REGION = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}
NOBODY = {"AWS_DEFAULT_REGION": "eu-west-1", "AWS_EC2_METADATA_DISABLED": "true"}
PROFILE = {"AWS_PROFILE": "nobody", "AWS_DEFAULT_REGION": "eu-west-1"}


@dataclass(frozen=True)
class Mistake:
    """A command line, its exit code, a part of the one line that it prints, and the variables of AWS."""

    program: str
    arguments: Sequence[str]
    code: int
    reported: str
    variables: dict[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        """Return a short name for the test's id."""
        return " ".join([self.program, *self.arguments[:3], *self.variables])[:80]


MISTAKES = [
    # A name that does not exist, a name that is misspelt
    Mistake("model_build", ["predcit", "a.jpg"], 2, "Did you mean predict"),
    Mistake("model_build", ["predict", "no.jpg"], 2, "'no.jpg' does not exist"),
    Mistake("model_build", ["predict", "--model", "no/such", "photo.jpg"], 2, "no/such"),
    Mistake("model_build", ["evaluate", "--data", "no.tar.gz"], 2, "no.tar.gz"),
    # A folder without photos, a file that is not what it should be
    Mistake("localcloud", ["demo", "--photos", "empty"], 2, "there are no photos in empty"),
    Mistake("localcloud", ["demo", "--photos", "photo.jpg"], 2, "'photo.jpg' is a file"),
    Mistake("localcloud", ["demo", "--model", "photo.jpg"], 1, "photo.jpg cannot be extracted"),
    # Numbers and times out of bounds
    Mistake("model_build", ["delete", "--endpoint-name", "e", "--timeout", "inf"], 2, "above 0"),
    # Nothing runs, something else does, the folder or the disk does not take it
    Mistake("localcloud", ["up", "--state", "/proc/state"], 1, "/proc/state"),
    Mistake("localcloud", ["down", "--erase"], 2, "give --yes"),
    Mistake("localcloud", ["up", "--state", "busy"], 1, "is starting the local cloud of"),
    Mistake("localcloud", ["up", "--bind", "192.0.2.1", "--state", "s"], 1, "cannot listen on 192.0.2.1"),
    Mistake("model_build", ["samples", "--output", "/proc/samples"], 2, "cannot write to /proc/samples"),
    Mistake("model_build", ["package", "--model", MODEL, "--output", "/proc/m.tar.gz"], 1, "/proc/m.tar.gz"),
    # AWS: no region, no account, an unknown profile, no connection, no such stack or bucket
    Mistake("operations", ["results"], 1, "no AWS region is set", NO_REGION),
    Mistake("operations", ["results"], 1, "no AWS credentials were found", NOBODY),
    Mistake("operations", ["results"], 1, "The config profile (nobody) could not be found", PROFILE),
    Mistake("operations", ["results", "--profile", "nobody"], 1, "profile (nobody)", ACCOUNT),
    Mistake("operations", ["results"], 1, "Could not connect to the endpoint URL", NOWHERE),
    Mistake("operations", ["results", "--stack-name", "mine"], 1, "no stack 'mine' in eu-west-1", ACCOUNT),
    Mistake("operations", ["send", "photo.jpg"], 1, "there is no stack 'scones' in eu-west-1", ACCOUNT),
    Mistake("model_build", ["status", "--endpoint-name", "e"], 1, "profile (nobody)", PROFILE),
    Mistake("model_build", ["status", "--endpoint-name", "e"], 1, "no AWS region is set", NO_REGION),
    Mistake("model_build", ["status", "--endpoint-name", "e"], 1, "Could not connect", NOWHERE),
    Mistake("model_build", [*DEPLOY, "no-such-bucket"], 1, "no-such-bucket", ACCOUNT),
]


@pytest.fixture(scope="module")
def aws() -> Iterator[str]:
    """Return the URL of an AWS without stacks and buckets."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.mark.parametrize("mistake", MISTAKES, ids=str)
def test_a_mistake_is_told_in_one_line(
    mistake: Mistake,
    tmp_path: Path,
    aws: str,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "photo.jpg").write_bytes(b"not a photo")
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    home = {"HOME": str(tmp_path), "SCONES_STATE": str(tmp_path / "state"), "AWS_ENDPOINT_URL": aws}
    for name, value in (home | mistake.variables).items():
        monkeypatch.setenv(name, value)

    with StateFolder(tmp_path / "busy").reserved():
        code = PROGRAMS[mistake.program](mistake.arguments)

    (*before, line) = capfd.readouterr().err.splitlines()
    assert mistake.reported in line
    assert code == mistake.code
    assert line.startswith(f"python -m {mistake.program}")
    assert not any("Traceback" in other for other in before)
    assert len(before) <= 2, "notices of what was done before, if anything"
