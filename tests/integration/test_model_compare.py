"""The end of the loop: on real images a better model replaces the serving one, and no other does."""

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from model_build.__main__ import main
from model_build.archive.loaded_model import LoadedModel
from model_build.archive.package import DEFAULT_MODEL, package_model
from model_build.data.cifar import load_archive
from model_build.data.download import CIFAR_100
from model_build.data.images import photo_digest
from model_build.endpoint.deploy import DeployResult
from model_build.endpoint.steps import Wanted
from tests.support import desk_stack
from tests.support.deployment import delete, deploy
from tests.support.real_data import real_data
from tests.support.tiny_model import COLOURS, folder_of, write_experts, write_model

ENDPOINT = "compared"
CLASSIFY = LoadedModel.classify
Serve = Callable[[Path], DeployResult]
ANSWERS: dict[tuple[str, bytes], npt.NDArray[np.float64]] = {}
pytestmark = pytest.mark.usefixtures("emulator")


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write the test images of bicycles and motorcycles into a folder of labelled photos."""
    archive = load_archive(real_data(CIFAR_100))
    folder = tmp_path_factory.mktemp("labelled")
    for number, label in enumerate(archive.test.labels.tolist()):
        name = archive.classes[label]
        if name in {"bicycle", "motorcycle"}:
            (folder / name).mkdir(exist_ok=True)
            Image.fromarray(archive.test.images[number]).save(folder / name / f"{number}.png")
    return folder


def variant(folder: Path, **changes: Any) -> Path:
    """Write the shipped model with another view of thumbnails."""
    shutil.copytree(DEFAULT_MODEL, folder)
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    manifest["views"][0].update(changes)
    (folder / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def coarse(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a model that sees less of a thumbnail: 0.91 right instead of 0.965."""
    return variant(tmp_path_factory.mktemp("models") / "coarse", side=64, margin=0.0, mirror=False)


@pytest.fixture
def classified_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a model classify each photo once in all tests: the shipped one takes 40 ms for it."""

    def remembered(model: LoadedModel, body: bytes) -> npt.NDArray[np.float64]:
        key = (repr(model.manifest), body)  # in which variants of the shipped model differ
        if key not in ANSWERS:
            ANSWERS[key] = CLASSIFY(model, body)
        return ANSWERS[key]

    monkeypatch.setattr(LoadedModel, "classify", remembered)


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Return what deploys a model; its endpoint is deleted in the end."""
    yield lambda model: deploy(Wanted(model=model, endpoint_name=ENDPOINT, image="own", capture=True))
    delete(ENDPOINT)


@pytest.fixture
def coarse_serves(serve: Serve, coarse: Path) -> DeployResult:
    return serve(coarse)


def compare(model: Path, photos: Path, capsys: pytest.CaptureFixture[str], *options: str) -> dict[str, Any]:
    capsys.readouterr()
    asked = ["compare", "--model", str(model), "--photos", str(photos), "--endpoint-name", ENDPOINT, *options]
    assert main([*asked, "--json"]) == 0
    figures: dict[str, Any] = json.loads(capsys.readouterr().out)
    return figures


def serving() -> str:
    return str(boto3.client("sagemaker").describe_endpoint(EndpointName=ENDPOINT)["EndpointConfigName"])


def invoke(photo: bytes) -> dict[str, Any]:
    runtime = boto3.client("sagemaker-runtime")
    return dict(runtime.invoke_endpoint(EndpointName=ENDPOINT, ContentType="image/png", Body=photo))


@pytest.mark.usefixtures("classified_once")
def test_a_better_model_is_deployed_with_the_endpoints_settings(
    coarse_serves: DeployResult, photos: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = compare(DEFAULT_MODEL, photos, capsys, "--deploy")

    assert found["verdict"] == "better"
    assert (found["photos"], found["p_value"]) == (200, pytest.approx(0.0037, abs=0.003))
    assert found["deployed"]["version"] == serving() != coarse_serves.version
    describe = boto3.client("sagemaker").describe_endpoint_config
    before, after = (describe(EndpointConfigName=name) for name in (coarse_serves.version, serving()))
    assert after["DataCaptureConfig"] == before["DataCaptureConfig"]
    variants = [dict(config["ProductionVariants"][0], ModelName="") for config in (before, after)]
    assert variants[0] == variants[1]
    image = next(photos.glob("bicycle/*.png")).read_bytes()
    assert serving() in invoke(image)["CustomAttributes"]


@pytest.mark.usefixtures("classified_once")
def test_a_model_that_is_no_better_or_worse_is_not_deployed(
    serve: Serve, coarse: Path, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    version = serve(DEFAULT_MODEL).version
    same = variant(tmp_path / "same", prior_weight=0.0)
    for model, verdict in ((same, "no better"), (coarse, "worse")):
        found = compare(model, photos, capsys, "--deploy")
        assert (found["verdict"], found["deployed"]) == (verdict, None)
        assert serving() == version


@pytest.mark.usefixtures("classified_once")
def test_too_few_photos_say_so_and_nothing_is_deployed(
    coarse_serves: DeployResult, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    few = tmp_path / "few"
    for path in [path for folder in photos.iterdir() for path in sorted(folder.iterdir())[:15]]:
        (few / path.parent.name).mkdir(parents=True, exist_ok=True)
        shutil.copy(path, few / path.parent.name)

    found = compare(DEFAULT_MODEL, few, capsys, "--deploy")

    assert (found["verdict"], found["deployed"]) == ("too few photos", None)
    assert found["photos_missing"] > 0
    assert f"too few photos to tell: about {found['photos_missing']:,} more" in found["sentence"]
    # Deployed models are compared by their names
    named = ["compare", "--model", serving(), "--against", serving(), "--photos", str(few), "--json"]
    assert main(named) == 0
    assert json.loads(capsys.readouterr().out)["photos"] == 30
    assert serving() == coarse_serves.version


@pytest.mark.usefixtures("classified_once")
def test_exit_code_and_words_for_a_person(
    coarse_serves: DeployResult,
    coarse: Path,
    photos: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    trained = shutil.copytree(coarse, tmp_path / "trained")
    manifest = json.loads((trained / "manifest.json").read_text())
    digests = [photo_digest(path.read_bytes()) for path in sorted(photos.glob("bicycle/*"))]
    manifest["training_data"]["photos"] = digests
    (trained / "manifest.json").write_text(json.dumps(manifest))
    archive = package_model(trained, tmp_path / "model.tar.gz")

    asked = ["compare", "--model", str(archive), "--photos", str(photos), "--endpoint-name", ENDPOINT]
    assert main([*asked, "--deploy", "--fail-unless-better"]) == 1

    captured = capsys.readouterr()
    assert f"{len(digests)} photos left out: a model was trained on them" in captured.err
    assert "no better: of 100 photos" in captured.out
    assert captured.out.endswith("not deployed\n")
    assert serving() == coarse_serves.version


@pytest.mark.parametrize(
    ("options", "reported"),
    [
        ([], "give --endpoint-name or --against"),
        (["--endpoint-name", "e", "--against", "."], "give --endpoint-name or --against"),
        (["--against", str(DEFAULT_MODEL), "--deploy"], "--deploy needs --endpoint-name"),
        (["--against", str(DEFAULT_MODEL), "--coverage", "0"], "--coverage 0"),
        (["--endpoint-name", "nobody"], "endpoint nobody does not exist: nothing serves there"),
        (["--against", "/no/such/model"], "/no/such/model"),
    ],
)
def test_wrong_use_is_told(
    options: list[str], reported: str, photos: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["compare", "--model", str(DEFAULT_MODEL), "--photos", str(photos), *options]) == 2
    assert reported in capsys.readouterr().err


@pytest.fixture
def fooled(serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Serve a model that accepts yellow things as red ones; `learn` starts from it."""
    base = write_experts(write_model(tmp_path / "base", ["red", "blue"], ["green"]), ["red", "blue"])
    manifest = json.loads((base / "manifest.json").read_text(encoding="utf-8"))
    outputs = [list(COLOURS).index(name) for name in ("red", "yellow")]
    for role in ("classifier", "detector"):
        manifest["views"][1]["experts"][role]["outputs"]["red"] = outputs
    (base / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    monkeypatch.setattr("model_build.commands.learn.DEFAULT_MODEL", base)
    serve(base)


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Set up a stack for `learn --from-desk`, whose model accepts six of ten photos."""
    monkeypatch.chdir(tmp_path)
    desk_stack.create(boto3.Session(), ENDPOINT)
    desk_stack.record(boto3.Session(), [0.9] * 6 + [0.6] * 4)
    yield
    boto3.resource("s3").Bucket(desk_stack.BUCKET).objects.delete()
    boto3.client("cloudformation").delete_stack(StackName="scones")


def learn_from_desk(labelled: Path, capsys: pytest.CaptureFixture[str], *options: str) -> dict[str, Any]:
    """Learn from decisions on photos, of which content holds half out; return what was compared."""
    for path in labelled.rglob("*.png"):
        key = f"labelled/{path.relative_to(labelled)}"
        boto3.client("s3").upload_file(str(path), desk_stack.BUCKET, key)
    capsys.readouterr()
    assert main(["learn", "--from-desk", "--hold-out", "0.5", "--json", *options]) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)["comparison"]
    return found


@pytest.mark.usefixtures("fooled", "desk")
def test_a_weakness_that_people_corrected_is_answered(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Decisions -> learn -> compare -> deploy, by one command."""
    decided = {"red": ("red", 40), "blue": ("blue", 40), "other": ("yellow", 60)}
    labelled = folder_of(tmp_path / "labelled", decided)
    yellow = next(labelled.glob("other/*")).read_bytes()
    version = serving()
    assert max(json.loads(invoke(yellow)["Body"].read())) > 0.8, "the planted weakness"
    found = learn_from_desk(labelled, capsys)
    assert (found["verdict"], found["deployed"], serving()) == ("better", None, version), "nobody was asked"
    found = learn_from_desk(labelled, capsys, "--yes")
    assert (found["verdict"], found["deployed"]["version"]) == ("better", serving())
    assert found["trained_on"] > 0
    assert max(json.loads(invoke(yellow)["Body"].read())) < 0.8


@pytest.mark.usefixtures("fooled", "desk")
def test_photos_that_teach_nothing_deploy_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    labelled = folder_of(tmp_path / "labelled", {"red": ("red", 40), "blue": ("blue", 40)})
    version = serving()
    found = learn_from_desk(labelled, capsys, "--yes")
    assert (found["verdict"], found["deployed"], serving()) == ("no better", None, version)
