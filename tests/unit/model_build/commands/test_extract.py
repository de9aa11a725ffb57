"""The command `extract`."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from model_build.__main__ import main
from model_build.data.cifar import load_archive
from tests.support.tiny_model import cifar10_files, cifar100_files, write_archive


def test_writes_images_and_lists(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = write_archive(tmp_path / "c.tar.gz", cifar100_files(["red", "green", "blue"], 3, 2))
    output = tmp_path / "out"
    assert main(["extract", "--data", str(data), "--output", str(output), "--classes", "blue,red"]) == 0
    assert "train: 6 images" in capsys.readouterr().out
    archive = load_archive(data)
    for name, split, count in (("train", archive.train, 6), ("test", archive.test, 4)):
        rows = [line.split("\t") for line in (output / f"{name}.lst").read_text().splitlines()]
        assert [int(row[0]) for row in rows] == list(range(count))
        assert sorted(path.name for path in (output / name).iterdir()) == sorted(row[2] for row in rows)
        for _, label, file in rows:
            with Image.open(output / name / file) as image:
                pixels = np.asarray(image)
            colour = ("blue", "red")[int(label)]
            assert colour in file
            index = archive.classes.index(colour)
            assert any(np.array_equal(pixels, original) for original in split.of(index))


def test_writes_all_classes_that_have_images(tmp_path: Path) -> None:
    data = write_archive(tmp_path / "c.tar.gz", cifar10_files(["red", "green"], 1, 1))
    assert main(["extract", "--data", str(data), "--output", str(tmp_path / "out")]) == 0
    labels = [line.split("\t")[1] for line in (tmp_path / "out" / "train.lst").read_text().splitlines()]
    assert labels == ["0", "1", "0", "1"]


def test_file_names_of_an_archive_do_not_lead_out_of_the_folder(tmp_path: Path) -> None:
    files = cifar100_files(["red"], 1, 2)
    member = files["cifar-100-python/test"]
    assert isinstance(member, dict)
    member[b"filenames"] = [b"../../escape.png", b"..\\..\\escape.png"]
    data = write_archive(tmp_path / "c.tar.gz", files)
    assert main(["extract", "--data", str(data), "--output", str(tmp_path / "a" / "b")]) == 0
    assert not list(tmp_path.glob("*escape*"))
    assert len(list((tmp_path / "a" / "b" / "test").glob("*escape.png"))) == 2


@pytest.mark.parametrize(
    ("classes", "message"), [("red,purple", "no images of purple; it has red"), ("red,red", "not a list of")]
)
def test_unknown_and_repeated_classes_are_refused(
    tmp_path: Path, classes: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    data = write_archive(tmp_path / "c.tar.gz", cifar100_files(["red"], 1, 1))
    arguments = ["extract", "--data", str(data), "--output", str(tmp_path / "out"), "--classes", classes]
    assert main(arguments) == 2
    assert message in capsys.readouterr().err
