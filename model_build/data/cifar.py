"""CIFAR archives: finding, downloading and reading them, and the JPEG trap between them.

Reads CIFAR-10 and CIFAR-100 in their "python" layout (https://www.cs.toronto.edu/~kriz/cifar.html): a
tar.gz of pickles. A pickle can run any code, so these are read by an unpickler that builds nothing but lists,
numbers, text and integer arrays.
"""

import hashlib
import http
import http.client
import io
import os
import pickle
import tarfile
import urllib.error
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from PIL import Image
from tqdm import tqdm

from model_build.errors import ModelBuildError

ROOT: Final = Path(__file__).resolve().parents[2]
DATA_VARIABLE: Final = "SCONES_DATA"
CIFAR_100: Final = "cifar-100-python.tar.gz"
CIFAR_10: Final = "cifar-10-python.tar.gz"
CIFAR_100_URL: Final = f"https://www.cs.toronto.edu/~kriz/{CIFAR_100}"
CIFAR_100_MD5: Final = "eb9058c3a382ffc7106e4002c42a8d85"
SIDE: Final = 32
MEMBER_LIMIT: Final = 1 << 30  # the largest real member has 155 MB; more than this is no CIFAR archive
CHUNK: Final = 1 << 20


class ArchiveError(ModelBuildError):
    """An archive cannot be read or found; the message names the file, what is wrong and what to do."""


@dataclass(frozen=True)
class Split:
    """Images of one split with their labels.

    Attributes:
        images: uint8 [N, 32, 32, 3], RGB.
        labels: int64 [N], indices into the archive's `classes`.
        filenames: the N names that the data set gives its images.
    """

    images: npt.NDArray[np.uint8]
    labels: npt.NDArray[np.int64]
    filenames: tuple[str, ...]

    def of(self, label: int) -> npt.NDArray[np.uint8]:
        """The images of one class, uint8 [n, 32, 32, 3]."""
        chosen: npt.NDArray[np.uint8] = self.images[self.labels == label]
        return chosen


@dataclass(frozen=True)
class Archive:
    """A data set as read from one file.

    Attributes:
        path: where it was read.
        sha256: hexadecimal digest of the file.
        classes: every class name that the data set knows, in label order (fine labels for CIFAR-100).
        train: the training split.
        test: the test split.
    """

    path: Path
    sha256: str
    classes: tuple[str, ...]
    train: Split
    test: Split

    @property
    def present(self) -> tuple[str, ...]:
        """The names of the classes that really have images here: archives may hold a part of a data set."""
        labels = set(self.train.labels.tolist()) | set(self.test.labels.tolist())
        return tuple(name for index, name in enumerate(self.classes) if index in labels)

    @property
    def decoded_jpeg(self) -> bool:
        """Whether these pixels once went through JPEG, told by the images' own file names.

        Compression leaves traces that a classifier finds sooner than wheels. Where one archive's images were
        compressed and another's were not, treat both alike (`jpeg_roundtrip`).
        """
        return any(
            name.lower().endswith((".jpg", ".jpeg")) for name in self.train.filenames + self.test.filenames
        )


# ------------------------------------------------------------------ finding and downloading


def data_folders() -> list[Path]:
    """The folders in which archives are looked for, in this order."""
    chosen = os.environ.get(DATA_VARIABLE)
    return [*([Path(chosen)] if chosen else []), ROOT / "data", ROOT.parent / "shared" / "data"]


def find_archive(name: str = CIFAR_100) -> Path:
    """Path of a data file (or folder) of this name.

    Args:
        name: file name, such as `cifar-100-python.tar.gz`.

    Raises:
        ArchiveError: it is in none of the data folders; the message lists them.
    """
    folders = data_folders()
    for folder in folders:
        if (folder / name).exists():
            return folder / name
    places = ", ".join(str(folder) for folder in folders)
    raise ArchiveError(
        f"{name} was not found in {places}. Put it into one of these folders, or name its folder in the "
        f"environment variable {DATA_VARIABLE}; `python -m model_build train` without --data downloads "
        f"{CIFAR_100}."
    )


def find_or_download_cifar100() -> Path:
    """Path of the CIFAR-100 archive, downloaded (169 MB) into the first data folder if there is none yet."""
    try:
        return find_archive(CIFAR_100)
    except ArchiveError:
        return download(CIFAR_100_URL, CIFAR_100_MD5, data_folders()[0] / CIFAR_100)


def download(url: str, md5: str, target: Path) -> Path:
    """Fetch a file, going on where an earlier attempt stopped, and put it in place once its digest is right.

    Args:
        url: where it is.
        md5: hexadecimal digest that its publisher states.
        target: where it goes; unfinished downloads wait beside it as `.part`.

    Returns:
        `target`.

    Raises:
        ArchiveError: the server cannot be reached, or the digest is wrong.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(target.name + ".part")
    try:
        _fetch(url, part)
    except (OSError, http.client.HTTPException) as exc:
        raise ArchiveError(
            f"could not download {url}: {exc}. Try again (it goes on where it stopped), "
            f"or put the file at {target}."
        ) from exc
    found = _digest(part, "md5")
    if found != md5:
        part.unlink()
        raise ArchiveError(f"{url} has MD5 {found} instead of {md5}: it was thrown away; try again")
    part.replace(target)
    return target


def _fetch(url: str, part: Path) -> None:
    """Append to `part` what the server still has to give."""
    have = part.stat().st_size if part.exists() else 0
    headers = {"Range": f"bytes={have}-"} if have else {}
    request = urllib.request.Request(url, headers=headers)  # noqa: S310 - the callers name http(s) addresses
    try:
        response = urllib.request.urlopen(request, timeout=60)  # noqa: S310
    except urllib.error.HTTPError as exc:
        if exc.code == http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            return  # nothing is missing; the digest tells whether what is there is right
        raise
    with response:
        resumed = response.status == http.HTTPStatus.PARTIAL_CONTENT
        have = have if resumed else 0
        expected = have + int(response.headers.get("Content-Length", 0))
        with (
            part.open("ab" if resumed else "wb") as file,
            tqdm(
                total=expected or None, initial=have, unit="B", unit_scale=True, desc=f"downloading {url}"
            ) as bar,
        ):
            while chunk := response.read(CHUNK):
                file.write(chunk)
                bar.update(len(chunk))
    if part.stat().st_size < expected:
        raise http.client.HTTPException(f"the connection ended at {part.stat().st_size} of {expected} bytes")


def _digest(path: Path, algorithm: str) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, algorithm).hexdigest()


# ------------------------------------------------------------------ reading


def load_archive(path: Path) -> Archive:
    """Read a CIFAR-10 or CIFAR-100 archive (python layout), or one made in the same layout.

    Args:
        path: the tar.gz.

    Raises:
        ArchiveError: the file is missing, is no such archive, or holds something that does not fit together.
    """
    if not path.is_file():
        raise ArchiveError(f"{path}: there is no such file")
    members = _read_members(path)
    if "meta" in members:
        label_key, classes = "fine_labels", _class_names(members, "meta", "fine_label_names", path)
        train, test = ["train"], ["test"]
    elif "batches.meta" in members:
        label_key, classes = "labels", _class_names(members, "batches.meta", "label_names", path)
        train, test = sorted(name for name in members if name.startswith("data_batch")), ["test_batch"]
    else:
        raise ArchiveError(
            f"{path}: neither a CIFAR-100 archive (meta, train, test) nor a CIFAR-10 archive "
            "(batches.meta, data_batch_*, test_batch) in python layout"
        )
    return Archive(
        path=path,
        sha256=_digest(path, "sha256"),
        classes=classes,
        train=_read_split(members, train, label_key, len(classes), path),
        test=_read_split(members, test, label_key, len(classes), path),
    )


def load_archives(paths: Sequence[Path]) -> list[Archive]:
    """Read several archives; see `load_archive`."""
    return [load_archive(path) for path in paths]


def _wanted(name: str) -> bool:
    return name in {"meta", "train", "test", "batches.meta", "test_batch"} or name.startswith("data_batch")


def _read_members(path: Path) -> dict[str, bytes]:
    """The archive's data files by their base names; everything else in it (readme) is passed over."""
    members: dict[str, bytes] = {}
    try:
        with tarfile.open(path, "r:*") as tar:
            for info in tar:
                name = info.name.rsplit("/", 1)[-1]
                if not info.isfile() or not _wanted(name):
                    continue
                if info.size > MEMBER_LIMIT:
                    raise ArchiveError(
                        f"{path}: {info.name} has {info.size} bytes, no CIFAR file has so many"
                    )
                file = tar.extractfile(info)
                members[name] = file.read() if file else b""
    except (tarfile.TarError, EOFError, OSError) as exc:
        raise ArchiveError(f"{path}: not a readable tar.gz ({exc}); fetch it anew") from exc
    return members


def _unpickle(members: dict[str, bytes], name: str, path: Path) -> dict[str, Any]:
    if name not in members:
        raise ArchiveError(f"{path}: there is no {name} in it; the archive is incomplete, fetch it anew")
    try:
        content = _CifarUnpickler(io.BytesIO(members[name]), encoding="bytes").load()
    except ArchiveError as exc:
        raise ArchiveError(f"{path}: {name} {exc}") from exc
    except Exception as exc:  # a broken pickle may raise anything (see pickle.UnpicklingError)
        raise ArchiveError(
            f"{path}: {name} is not a readable pickle ({exc!r}); fetch the archive anew"
        ) from exc
    if not isinstance(content, dict):
        raise ArchiveError(f"{path}: {name} holds a {type(content).__name__} where a CIFAR file holds a dict")
    return {_text(key): value for key, value in content.items()}


def _class_names(members: dict[str, bytes], name: str, key: str, path: Path) -> tuple[str, ...]:
    names = _unpickle(members, name, path).get(key)
    if not isinstance(names, list) or not names:
        raise ArchiveError(f"{path}: {name} has no list {key}")
    return tuple(_text(item) for item in names)


def _read_split(
    members: dict[str, bytes], names: Sequence[str], label_key: str, classes: int, path: Path
) -> Split:
    if not names:
        raise ArchiveError(
            f"{path}: there is no data_batch_1 in it; the archive is incomplete, fetch it anew"
        )
    parts = [
        _read_batch(_unpickle(members, name, path), label_key, classes, f"{path}: {name}") for name in names
    ]
    return Split(
        images=np.concatenate([part.images for part in parts]),
        labels=np.concatenate([part.labels for part in parts]),
        filenames=tuple(name for part in parts for name in part.filenames),
    )


def _read_batch(content: dict[str, Any], label_key: str, classes: int, where: str) -> Split:
    pixels = content.get("data")
    if isinstance(pixels, _PickledArray):
        pixels = pixels.array
    if (
        not isinstance(pixels, np.ndarray)
        or pixels.dtype != np.uint8
        or pixels.shape != (len(pixels), 3 * SIDE**2)
    ):
        raise ArchiveError(f"{where}: data is not an array of bytes [N, {3 * SIDE**2}]")
    labels = content.get(label_key)
    labels = np.asarray(labels.array if isinstance(labels, _PickledArray) else labels)
    if labels.shape != (len(pixels),) or labels.dtype.kind not in "iu":
        raise ArchiveError(
            f"{where}: {label_key} does not hold one whole number for each of {len(pixels)} images"
        )
    if len(labels) and not 0 <= labels.min() <= labels.max() < classes:
        raise ArchiveError(f"{where}: {label_key} has numbers outside 0 to {classes - 1}")
    filenames = content.get("filenames") or [f"{index:05d}.png" for index in range(len(pixels))]
    # The data set stores a red plane, a green plane and a blue plane per image.
    images = np.ascontiguousarray(pixels.reshape(-1, 3, SIDE, SIDE).transpose(0, 2, 3, 1))
    return Split(images, labels.astype(np.int64), tuple(_text(name) for name in filenames))


def _text(value: Any) -> str:
    """Pickles of Python 2 give bytes where Python 3 gives text."""
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


# ------------------------------------------------------------------ the unpickler


class _PickledType:
    """Stands for `numpy.dtype` in a pickle; integers only, so that no state can make numpy misread memory."""

    def __init__(self, code: Any, *_: Any) -> None:
        self.dtype = np.dtype(_text(code))
        if self.dtype.kind not in "iu":
            raise ArchiveError(f"holds an array of {self.dtype}, where a CIFAR file has whole numbers")

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self.dtype = self.dtype.newbyteorder(_text(state[1]))  # type: ignore[arg-type]  # numpy checks it


class _PickledArray:
    """Stands for `numpy.ndarray` in a pickle: makes the array from the state that numpy wrote."""

    def __init__(self, *_: Any) -> None:
        self.array: npt.NDArray[Any] = np.zeros(0, np.uint8)

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        _, shape, kind, fortran, raw = state
        self.array = np.frombuffer(raw, kind.dtype).reshape(shape, order="F" if fortran else "C")


def _frombuffer(raw: bytes, kind: _PickledType, shape: tuple[int, ...], order: str) -> _PickledArray:
    """How numpy writes an array from pickle protocol 5 on."""
    array = _PickledArray()
    array.__setstate__((1, shape, kind, order == "F", raw))
    return array


def _latin1(text: str, encoding: str) -> bytes:
    """How Python 3 writes bytes up to pickle protocol 2: `_codecs.encode(text, "latin1")`."""
    if encoding != "latin1":
        raise ArchiveError(f"asks for the codec {encoding!r}, which a CIFAR file does not need")
    return text.encode("latin1")


_ALLOWED: Final[dict[tuple[str, str], Any]] = {
    ("numpy", "dtype"): _PickledType,
    ("numpy", "ndarray"): _PickledArray,
    ("numpy.core.multiarray", "_reconstruct"): _PickledArray,
    ("numpy._core.multiarray", "_reconstruct"): _PickledArray,
    ("numpy.core.numeric", "_frombuffer"): _frombuffer,
    ("numpy._core.numeric", "_frombuffer"): _frombuffer,
    ("_codecs", "encode"): _latin1,
}


class _CifarUnpickler(pickle.Unpickler):
    """Builds plain values and integer arrays, whatever the pickle asks for."""

    def find_class(self, module: str, name: str) -> Any:
        """The stand-in for a name that a CIFAR file may use.

        Raises:
            ArchiveError: for any other name, before anything of it is imported.
        """
        try:
            return _ALLOWED[module, name]
        except KeyError:
            raise ArchiveError(
                f"asks for {module}.{name}, which a CIFAR file does not need: maybe malicious, not read"
            ) from None


# ------------------------------------------------------------------ the JPEG trap


def jpeg_roundtrip(images: npt.NDArray[np.uint8], quality: int = 75) -> npt.NDArray[np.uint8]:
    """The images as they look after JPEG compression.

    Args:
        images: uint8 [N, H, W, 3].
        quality: of the compression, 1 to 95.

    Returns:
        uint8 [N, H, W, 3].
    """
    compressed = np.empty_like(images)
    for index, image in enumerate(images):
        buffer = io.BytesIO()
        Image.fromarray(image).save(buffer, "JPEG", quality=quality)
        compressed[index] = np.asarray(Image.open(buffer))
    return compressed
