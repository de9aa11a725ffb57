"""Code of somebody else's in a model is not run, compared or packaged before the user trusts it."""

import hashlib
import io
import json
import py_compile
import tarfile
from collections.abc import Callable
from importlib.util import cache_from_source
from pathlib import Path

import pytest

from commandline.errors import WRONG_USE
from model_build.__main__ import main
from model_build.archive import package, trusted_code
from model_build.archive.loaded_model import open_model
from model_build.archive.package import code_files, package_model, write_code
from model_build.archive.serving_packages import Target
from model_build.archive.trusted_code import ForeignCodeError, foreign_code, require_own_code
from tests.support.archives import contents
from tests.support.tiny_model import cifar100_files, write_archive, write_photo

LABELS = ("red", "blue")


def archive_with(model: Path, output: Path, files: dict[str, bytes]) -> Path:
    """Write this project's archive of a model with more files."""
    package_model(model, output)
    content = {**contents(output), **files}
    with tarfile.open(output, "w:gz") as tar:
        for name, body in content.items():
            info = tarfile.TarInfo(name)
            info.size = len(body)
            tar.addfile(info, io.BytesIO(body))
    return output


def harmful(mark: Path) -> bytes:
    """Return source code that leaves a mark when it runs."""
    return f"open({str(mark)!r}, 'w').close()\n".encode()


FOREIGN = [
    "code/inference.py",
    "code/numpy.py",
    "code/deep/part.py",
    "code/requirements.txt",
    "code/data.json",
    "code/__pycache__/inference.cpython-313.pyc",
    "./code/helper.py",
    "Code/inference.py",
    "numpy.py",
    "deployment.py",
    "config.yaml",
    "native.so",
]


@pytest.mark.parametrize("name", FOREIGN)
def test_an_archive_with_foreign_code_is_refused_before_it_is_extracted(
    model: Path, tmp_path: Path, name: str
) -> None:
    archive = archive_with(model, tmp_path / "foreign.tar.gz", {name: harmful(tmp_path / "ran")})
    with pytest.raises(ForeignCodeError, match=r"foreign\.tar\.gz contains code .*--trust-code"):
        require_own_code(archive, trusted=False)
    require_own_code(archive, trusted=True)
    with pytest.raises(ForeignCodeError), open_model(archive):
        pass
    assert not (tmp_path / "ran").exists()


def test_what_this_project_packages_is_its_own(model: Path, tmp_path: Path) -> None:
    assert foreign_code(package_model(model, tmp_path / "m.tar.gz")) == ()
    beside = {"notes.md": b"read me", "evaluation.json": b"{}", "confusion.png": b""}
    assert foreign_code(archive_with(model, tmp_path / "data.tar.gz", beside)) == ()
    write_code(model)
    assert foreign_code(model) == ()


def test_code_of_an_earlier_version_is_its_own(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = json.loads(trusted_code.KNOWN.read_text())
    assert "3cc8541f1accda595f25eaa7d3580e6e2aba85d13cf5efc48e6c2badf7672324" in known["code/inference.py"]
    archive = archive_with(model, tmp_path / "earlier.tar.gz", {"code/inference.py": b"# earlier\n"})
    assert foreign_code(archive) == ("code/inference.py",)
    digest = hashlib.sha256(b"# earlier\n").hexdigest()
    (tmp_path / "known.json").write_text(json.dumps({"code/inference.py": [digest]}))
    monkeypatch.setattr(trusted_code, "KNOWN", tmp_path / "known.json")
    trusted_code.known_code.cache_clear()
    assert foreign_code(archive) == ()
    trusted_code.known_code.cache_clear()


def test_own_code_under_another_name_is_foreign(model: Path, tmp_path: Path) -> None:
    own = (code_files()["code/inference.py"]).read_bytes()
    archive = archive_with(model, tmp_path / "moved.tar.gz", {"code/onnxruntime.py": own})
    assert foreign_code(archive) == ("code/onnxruntime.py",)


def test_a_compiled_file_beside_our_code_is_not_run(model: Path, tmp_path: Path) -> None:
    write_code(model)
    own = model / "code" / "inference.py"
    harm = tmp_path / "harm.py"
    harm.write_bytes(harmful(tmp_path / "ran"))
    py_compile.compile(
        str(harm),
        cfile=cache_from_source(str(own)),
        invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH,
    )
    (model / "code" / "numpy").mkdir()
    (model / "code" / "numpy" / "__init__.py").write_bytes(harmful(tmp_path / "ran"))
    with open_model(model) as loaded:
        assert loaded.labels == LABELS
    assert not (tmp_path / "ran").exists()


def test_bundled_packages_are_compared_with_the_locks(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    packages = tmp_path / "packages"
    packages.mkdir()
    (packages / "onnxruntime.py").write_text("version = 1\n")
    monkeypatch.setattr(package, "packages_for", {Target("3.13"): packages}.__getitem__)
    name = "code/packages/cp313-x86_64/onnxruntime.py"
    good = archive_with(model, tmp_path / "good.tar.gz", {name: b"version = 1\n"})
    assert foreign_code(good, packages=True) == ()
    bad = archive_with(model, tmp_path / "bad.tar.gz", {name: b"version = 2\n"})
    assert foreign_code(bad, packages=True) == (name,)
    other = archive_with(model, tmp_path / "other.tar.gz", {"code/packages/any/x.py": b""})
    assert foreign_code(other, packages=True) == ("code/packages/any/x.py",)
    assert foreign_code(other) == (), "nothing that loads a model on this machine imports them"


COMMANDS: dict[str, Callable[[Path, Path], list[str]]] = {
    "predict": lambda model, scratch: [str(write_photo(scratch / "photo.png", "red")), "--model", str(model)],
    "evaluate": lambda model, scratch: [
        *("--data", str(write_archive(scratch / "data.tar.gz", cifar100_files(LABELS, 1, 1)))),
        *("--model", str(model)),
    ],
    "card": lambda model, scratch: [
        *("--data", str(write_archive(scratch / "data.tar.gz", cifar100_files(LABELS, 1, 1)))),
        *("--model", str(model), "--output", str(scratch / "card.md")),
    ],
    "compare": lambda model, scratch: [
        *("--photos", str(write_photo(scratch / "photos" / "red" / "1.png", "red").parents[1])),
        *("--model", str(model), "--against", str(model)),
    ],
    "package": lambda model, scratch: ["--model", str(model), "--output", str(scratch / "m.tar.gz")],
}


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_refuses_foreign_code_in_one_line(
    model: Path,
    tmp_path: Path,
    command: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    (model / "code").mkdir()
    (model / "code" / "inference.py").write_bytes(harmful(tmp_path / "ran"))
    arguments = COMMANDS[command](model, tmp_path)
    assert main([command, *arguments]) == WRONG_USE
    message = capsys.readouterr().err.strip()
    assert len(message.splitlines()) == 1
    assert "code/inference.py" in message
    assert "--trust-code" in message
    assert not (tmp_path / "ran").exists()
    if command == "package":
        assert main([command, *arguments, "--trust-code"]) == 0
    else:
        main([command, *arguments, "--trust-code"])
        assert (tmp_path / "ran").exists()
