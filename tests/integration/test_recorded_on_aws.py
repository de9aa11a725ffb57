"""The local cloud answers as AWS did, in the conformance vectors beside the checkout.

They were made from what others recorded on AWS, and are no part of this project. Those that may differ, and
why it does not matter here, are in a table of docs/upstream.md.
"""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from localcloud.environment import ROOT
from tests.support.local_cloud import LocalCloud, bare_cloud
from tests.support.real_data import is_missing

VECTORS = ROOT.parent / "shared" / "vectors"
ACCEPTED = set(re.findall(r"^\| `(\w+/[\w/]+)`", (ROOT / "docs" / "upstream.md").read_text(), re.MULTILINE))


def different(cloud: LocalCloud, results: Path, only: str = "") -> list[dict[str, Any]]:
    """Run the vectors whose names match; return the results that are not as on AWS."""
    runner = [sys.executable, str(VECTORS / "run_vectors.py"), cloud.running.aws_url]
    subprocess.run([*runner, "--only", only, "--out", str(results)], check=True, capture_output=True)
    return [one for one in json.loads(results.read_text()) if one["result"] != "same"]


@pytest.mark.timeout(1200)
def test_what_was_recorded_on_aws_happens_here(tmp_path: Path) -> None:
    if not VECTORS.is_dir():
        is_missing(
            f"{VECTORS} is not there: put the conformance vectors (run_vectors.py, *.json) into this folder"
        )
    (tmp_path / "cloud").mkdir()
    (tmp_path / "cloud" / "access-key").write_text("test")  # the runner's
    with bare_cloud(tmp_path / "cloud") as cloud:
        first = [
            one["name"] for one in different(cloud, tmp_path / "results.json") if one["name"] not in ACCEPTED
        ]
        count = len(json.loads((tmp_path / "results.json").read_text()))
        again = f"^({'|'.join(first)})$"  # some wait for seconds only, too few on a busy machine
        wrong = different(cloud, tmp_path / "again.json", again) if first else []
    assert wrong == []
    assert count >= 202, "all of them ran"
