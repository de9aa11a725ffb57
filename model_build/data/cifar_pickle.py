"""Read the pickles of CIFAR archives without running what a pickle could run.

A pickle can call any function. This unpickler constructs nothing but lists, dictionaries, numbers, text and
integer arrays: the types that the data sets use, as Python 2 and every pickle protocol up to 5 write them.
"""

import io
import pickle
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from model_build.errors import ArchiveError


def load(content: bytes, source: str) -> dict[str, Any]:
    """Read a pickled dictionary.

    Args:
        content: the pickle.
        source: what error messages call it.

    Returns:
        The values by name; arrays are numpy arrays of integers.

    Raises:
        ArchiveError: it is not readable, not a dictionary, or asks for anything but plain data.
    """
    try:
        values = _CifarUnpickler(io.BytesIO(content), encoding="bytes").load()
    except ArchiveError as error:
        raise ArchiveError(f"{source} {error}") from error
    except Exception as error:  # a broken pickle may raise anything (see pickle.UnpicklingError)
        raise ArchiveError(
            f"{source} is not a readable pickle ({error!r}); download the archive again"
        ) from error
    if not isinstance(values, dict):
        raise ArchiveError(f"{source} holds a {type(values).__name__}, expected a dict")
    return {
        text(key): value.array if isinstance(value, _PickledArray) else value for key, value in values.items()
    }


def text(value: Any) -> str:
    """Return text; pickles of Python 2 give bytes where Python 3 gives str."""
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


class _PickledType:
    """Replaces `numpy.dtype`; integers only, so that no state can make numpy misread memory."""

    def __init__(self, code: Any, *_: Any) -> None:
        self.dtype = np.dtype(text(code))
        if self.dtype.kind not in "iu":
            raise ArchiveError(f"holds an array of {self.dtype}, expected an array of integers")

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self.dtype = self.dtype.newbyteorder(text(state[1]))  # type: ignore[arg-type]  # numpy checks it


class _PickledArray:
    """Replaces `numpy.ndarray`: builds the array from the state that numpy wrote."""

    def __init__(self, *_: Any) -> None:
        self.array: npt.NDArray[Any] = np.zeros(0, np.uint8)

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        _, shape, kind, fortran, raw = state
        self.array = np.frombuffer(raw, kind.dtype).reshape(shape, order="F" if fortran else "C")


def _frombuffer(raw: bytes, kind: _PickledType, shape: tuple[int, ...], order: str) -> _PickledArray:
    """Build an array as numpy writes it from pickle protocol 5 on."""
    array = _PickledArray()
    array.__setstate__((1, shape, kind, order == "F", raw))
    return array


def _latin1(characters: str, encoding: str) -> bytes:
    """Decode bytes as Python 3 writes them up to pickle protocol 2: `_codecs.encode(text, "latin1")`."""
    if encoding != "latin1":
        raise ArchiveError(f"asks for the codec {encoding!r}, which no CIFAR file uses")
    return characters.encode("latin1")


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
    """Constructs plain values and integer arrays, whatever the pickle asks for."""

    def find_class(self, module: str, name: str) -> Any:
        """Return the replacement for a name that a CIFAR file may use.

        Raises:
            ArchiveError: for any other name, before anything of it is imported.
        """
        try:
            return _ALLOWED[module, name]
        except KeyError:
            raise ArchiveError(
                f"asks for {module}.{name}, which no CIFAR file uses: possibly malicious, not read"
            ) from None
