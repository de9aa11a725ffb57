"""An archive is completed for the image that serves it, and never loses the code that came with the model."""

import json
import re
import tarfile
from pathlib import Path
from typing import Any

import boto3
import pytest

from model_build.archive import package
from model_build.archive.container_images import SERVING_IMAGES, serving_image
from model_build.archive.package import package_model
from model_build.archive.prepare import prepare_archive
from model_build.archive.serving_packages import Target
from model_build.errors import CloudError, RefusedError
from tests.support.archives import contents

ROOT = Path(__file__).resolve().parents[4]
OWN_CODE = "def model_fn(model_dir): return 'mine'\n"


def prepare(model: Path | str, image: str, scratch: Path, session: Any = None) -> Path:
    scratch.mkdir(exist_ok=True)
    return prepare_archive(model, serving_image(image, "us-east-1")[1], scratch, session)


@pytest.fixture(autouse=True)
def _packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Give packages without a download."""

    def packages_for(target: Target) -> Path:
        folder = tmp_path / "cache" / target.folder
        (folder / "onnxruntime").mkdir(parents=True, exist_ok=True)
        (folder / "onnxruntime" / "__init__.py").write_text(f"# for {target.folder}", encoding="utf-8")
        return folder

    monkeypatch.setattr(package, "packages_for", packages_for)


@pytest.mark.parametrize("image", SERVING_IMAGES)
def test_a_model_folder_is_packed_with_all_that_the_image_looks_for(
    model: Path, tmp_path: Path, image: str
) -> None:
    archive = prepare(model, image, tmp_path / "scratch")

    found = contents(archive)
    assert set(SERVING_IMAGES[image].archive_members) <= set(found)
    assert "code/requirements.txt" not in found
    assert bundled(found) == {wanted(image)}


def bundled(found: dict[str, bytes]) -> set[str]:
    """Return what the packages in an archive are for."""
    return {name.split("/")[2] for name in found if name.startswith("code/packages/")} or {""}


def wanted(image: str) -> str:
    packages = SERVING_IMAGES[image].packages
    return packages.folder if packages else ""


@pytest.mark.parametrize("image", SERVING_IMAGES)
def test_an_archive_that_will_do_is_taken_as_it_is(model: Path, tmp_path: Path, image: str) -> None:
    archive = package_model(model, tmp_path / "model.tar.gz", SERVING_IMAGES[image].packages)

    assert prepare(archive, image, tmp_path / "scratch") == archive


@pytest.mark.parametrize("packages", [None, Target("3.12")], ids=["of a training job", "for another image"])
def test_packages_are_added_or_replaced(model: Path, tmp_path: Path, packages: Target | None) -> None:
    archive = package_model(model, tmp_path / "model.tar.gz", packages)

    assert bundled(contents(prepare(archive, "ray", tmp_path / "scratch"))) == {"cp313-x86_64"}


@pytest.mark.parametrize("image", SERVING_IMAGES)
def test_an_archive_with_code_of_its_own_is_completed_and_keeps_it(
    model: Path, tmp_path: Path, image: str
) -> None:
    (model / "code").mkdir()
    (model / "code" / "inference.py").write_text(OWN_CODE, encoding="utf-8")
    archive = tmp_path / "model.tar.gz"
    with tarfile.open(archive, "w:gz") as packed:
        packed.add(model, ".")

    completed = contents(prepare(archive, image, tmp_path / "scratch"))

    assert set(SERVING_IMAGES[image].archive_members) <= set(completed)
    assert completed["code/inference.py"].decode() == OWN_CODE


def test_code_without_handlers_is_refused(model: Path, tmp_path: Path) -> None:
    (model / "code").mkdir()
    (model / "code" / "helper.py").write_text("", encoding="utf-8")

    with pytest.raises(RefusedError, match=r"code/inference\.py, which the image .+ looks for"):
        prepare(model, "ray", tmp_path / "scratch")


def test_an_image_of_the_users_own_gets_any_archive_as_it_is(tmp_path: Path) -> None:
    archive = tmp_path / "model.tar.gz"
    with tarfile.open(archive, "w:gz") as packed:
        packed.add(__file__, "image-classification-0010.params")

    image = "811284229777.dkr.ecr.us-east-1.amazonaws.com/image-classification:1"
    assert prepare(archive, image, tmp_path / "scratch") == archive


def test_an_archive_in_s3_is_fetched(model: Path, tmp_path: Path, session: boto3.Session) -> None:
    archive = package_model(model, tmp_path / "model.tar.gz")
    s3 = boto3.client("s3", region_name="us-east-1")
    s3.create_bucket(Bucket="models")
    s3.upload_file(str(archive), "models", "job/model.tar.gz")

    fetched = prepare("s3://models/job/model.tar.gz", "own", tmp_path / "scratch", session)

    assert contents(fetched) == contents(archive)
    with pytest.raises(CloudError, match="s3://models/other"):
        prepare("s3://models/other", "ray", tmp_path / "scratch", session)


def test_what_is_no_model_is_refused(tmp_path: Path) -> None:
    text = tmp_path / "model.tar.gz"
    text.write_text("no archive", encoding="utf-8")

    with pytest.raises(RefusedError, match=r"not a usable model\.tar\.gz"):
        prepare(text, "ray", tmp_path / "scratch")
    with pytest.raises(RefusedError, match="no such folder"):
        prepare(tmp_path / "nowhere", "ray", tmp_path / "scratch")


def pins(file: str) -> dict[str, set[str]]:
    """Pinned versions by package; a lock may have one for each Python."""
    found: dict[str, set[str]] = {}
    for name, version in re.findall(
        r"^([a-z0-9-]+)==([^\s;\\]+)", (ROOT / file).read_text(encoding="utf-8"), re.MULTILINE
    ):
        found.setdefault(name, set()).add(version)
    return found


def test_containers_have_versions_that_were_tested() -> None:
    serving, training = pins("requirements/serving.txt"), pins("model_build/training_requirements.txt")
    tested = pins("requirements/sagemaker.txt")

    assert {"numpy", "onnxruntime", "pillow"} <= set(serving)
    assert serving.items() <= pins("requirements/serving-image.txt").items()
    for name in ("numpy", "onnxruntime", "pillow"):
        assert serving[name] <= tested[name], name
    for name, versions in training.items():
        assert versions <= tested[name], name
    local = pins("requirements/train.txt")
    for name, versions in training.items():
        assert versions <= local[name], f"{name}: the local cloud runs training jobs in .venv/train"
    for name, versions in pins("requirements/serving-image.txt").items():
        assert versions <= pins("requirements/run.txt")[name], "the local cloud serves with the same"
    for name in ("onnxruntime", "pillow"):
        assert serving[name] == training[name]


@pytest.mark.parametrize("name", ["serving", "serving-image"])
def test_locks_for_containers_have_no_markers(name: str) -> None:
    # pip evaluates a marker for the Python that runs it, not for the container's.
    lock = (ROOT / "requirements" / f"{name}.txt").read_text(encoding="utf-8")

    assert not [line for line in lock.splitlines() if ";" in line]
    assert lock.count("--hash=sha256:") > len(pins(f"requirements/{name}.txt"))


def test_a_training_job_installs_nothing_from_elsewhere() -> None:
    lines = (ROOT / "model_build/training_requirements.txt").read_text(encoding="utf-8").splitlines()
    assert all(re.fullmatch(r"#.*|[a-z0-9-]+==[0-9.]+", line) for line in lines), json.dumps(lines)
