"""`operations load` against the deployed application: the account balances."""

import json

import pytest

from operations.__main__ import main
from tests.support.local_cloud import LocalCloud, environment_of


def test_every_version_has_exactly_one_outcome(cloud: LocalCloud, capsys: pytest.CaptureFixture[str]) -> None:
    mix = "good=.3,doubtful=.1,broken=.2,duplicate=.2,overwritten=.2"
    with environment_of(cloud.running):
        status = main(["load", "--rate", "4", "--duration", "6", "--burst", "10", "--mix", mix, "--json"])
    said = capsys.readouterr()
    summary = json.loads(said.out.splitlines()[-1])["summary"]
    assert (status, summary["lost"], summary["duplicates"]) == (0, 0, 0), said.err
    assert summary["sent"] > 24, "overwritten photos are two versions"
    assert sum(summary["outcomes"].values()) == summary["sent"]
    assert summary["outcomes"]["FAILED"] == 0
    assert 0 < summary["p50_s"] <= summary["p95_s"] <= summary["p99_s"] <= summary["max_s"]
