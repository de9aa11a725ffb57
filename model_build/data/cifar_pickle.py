"""Read the pickles of CIFAR archives without running, or allocating, what a pickle could ask for.

A pickle can call any function, and nine bytes can make Python's unpickler allocate 34 GB. So the opcodes are
checked first, and the unpickler then constructs nothing but lists, dictionaries, numbers, text and integer
arrays, as Python 2 and every pickle protocol up to 5 write them.
"""

import io
import pickle
import pickletools
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from commandline.terminal import visible
from model_build.errors import ArchiveError

TUPLES: Final = 1000  # most that may be nested; real pickles have a dozen
LONGEST_REASON: Final = 200  # characters of a message that come from the file
_NAMES: Final = (
    "PROTO FRAME STOP MARK POP POP_MARK DUP NONE NEWTRUE NEWFALSE INT BININT BININT1 BININT2 LONG LONG1 "
    "LONG4 FLOAT BINFLOAT STRING BINSTRING SHORT_BINSTRING UNICODE BINUNICODE BINUNICODE8 "
    "SHORT_BINUNICODE BINBYTES BINBYTES8 SHORT_BINBYTES BYTEARRAY8 EMPTY_LIST LIST APPEND APPENDS "
    "EMPTY_TUPLE TUPLE TUPLE1 TUPLE2 TUPLE3 EMPTY_DICT DICT SETITEM SETITEMS PUT BINPUT LONG_BINPUT "
    "MEMOIZE GET BINGET LONG_BINGET GLOBAL STACK_GLOBAL REDUCE BUILD "
)
_OPCODES: Final = frozenset(_NAMES.split())


def load(content: bytes, source: str) -> dict[str, Any]:
    """Read a pickled dictionary, whose arrays are of integers; an ArchiveError if it is anything else."""
    try:
        _check(content)
        values = _CifarUnpickler(io.BytesIO(content), encoding="bytes").load()
    except ArchiveError as error:
        raise ArchiveError(f"{source} {error}") from error
    except Exception as error:  # a broken pickle may raise anything (see pickle.UnpicklingError)
        why = _shown(f"{type(error).__name__}: {error}")
        raise ArchiveError(
            f"{source} is not a readable pickle ({why}); download the archive again"
        ) from error
    if not isinstance(values, dict):
        raise ArchiveError(f"{source} holds a {type(values).__name__}, expected a dict")
    return {
        text(key): value.array if isinstance(value, _PickledArray) else value
        for key, value in values.items()
        if isinstance(key, str | bytes)
    }


def text(value: str | bytes) -> str:
    """Return text that can be encoded; pickles of Python 2 give bytes where Python 3 gives str."""
    encoded = value if isinstance(value, bytes) else value.encode("utf-8", "replace")
    return encoded.decode("utf-8", "replace")


def texts(value: Any) -> tuple[str, ...] | None:
    """Return a list of texts; None for anything else."""
    if not isinstance(value, list) or not all(isinstance(one, str | bytes) for one in value):
        return None
    return tuple(text(one) for one in value)


def _check(content: bytes) -> None:
    """Refuse opcodes that no CIFAR file has, and those that would allocate more than the file's own size.

    `genops` itself refuses an argument that is longer than what is left of the file. Nested tuples are hashed
    by recursion in C, so those that may lie in another one are counted: Python 3 writes each text of bytes as
    the call of a function with a tuple, which lies in no other one unless it comes back from the memo.
    """
    nested, on_top, memo = 0, False, dict[int, bool]()  # whether the last object, and each index, is a tuple
    for count, (opcode, argument, _) in enumerate(pickletools.genops(content)):
        name = opcode.name
        if name not in _OPCODES:
            raise ArchiveError(f"has the opcode {name}, which no CIFAR file uses: not read")
        # The memo is an array as long as its largest index; who writes a pickle counts from 0.
        if name in {"PUT", "LONG_BINPUT"} and (argument or 0) > count:
            raise ArchiveError(f"has a memo index of {argument}, more than its objects: not read")
        if name in {"PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE"}:
            memo[len(memo) if argument is None else argument] = on_top
            continue
        nested += on_top and name != "REDUCE"
        nested += name in {"GET", "BINGET", "LONG_BINGET"} and memo.get(argument or 0, False)
        on_top = name in {"TUPLE", "TUPLE1", "TUPLE2", "TUPLE3"}
        if nested > TUPLES:
            raise ArchiveError(f"has more than {TUPLES} nested tuples, which no CIFAR file has: not read")


def _shown(reason: str) -> str:
    return visible(text(reason))[:LONGEST_REASON]


class _PickledType:
    """Replaces `numpy.dtype`; integers only, so that no state can make numpy misread memory."""

    def __init__(self, code: Any, *_: Any) -> None:
        self.dtype = np.dtype(text(code))
        if self.dtype.kind not in "iu":
            raise ArchiveError(f"holds an array of {_shown(str(self.dtype))}, expected an array of integers")

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self.dtype = self.dtype.newbyteorder(text(state[1]))  # type: ignore[arg-type]  # numpy checks it


class _PickledArray:
    """Replaces `numpy.ndarray`: builds the array from the state that numpy wrote."""

    def __init__(self, *_: Any) -> None:
        self.array: npt.NDArray[Any] = np.zeros(0, np.uint8)

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        _, shape, kind, fortran, raw = state
        self.array = np.frombuffer(raw, kind.dtype).reshape(shape, order="F" if fortran else "C")


class _NoState:
    """Refuses the opcode BUILD, which could otherwise set attributes of what replaces a function."""

    def __setstate__(self, _: Any) -> None:
        raise ArchiveError("sets attributes of a function, which no CIFAR file does: not read")


class _FromBuffer(_NoState):
    """Replaces `numpy.core.numeric._frombuffer`: an array as numpy writes it from protocol 5 on."""

    def __new__(cls, raw: bytes, kind: _PickledType, shape: tuple[int, ...], order: str) -> Any:
        """Return the array."""
        array = _PickledArray()
        array.__setstate__((1, shape, kind, order == "F", raw))
        return array


class _Latin1(_NoState):
    """Replaces `_codecs.encode`: Python 3 writes bytes as `encode(text, "latin1")` up to protocol 2."""

    def __new__(cls, characters: str, encoding: str) -> Any:
        """Return the bytes."""
        if encoding != "latin1":
            raise ArchiveError(f"asks for the codec {_shown(repr(encoding))}, which no CIFAR file uses")
        return characters.encode("latin1")


_ALLOWED: Final[dict[str, Any]] = {
    "numpy.dtype": _PickledType,
    "numpy.ndarray": _PickledArray,
    "numpy.core.multiarray._reconstruct": _PickledArray,
    "numpy.core.numeric._frombuffer": _FromBuffer,
    "_codecs.encode": _Latin1,
}


class _CifarUnpickler(pickle.Unpickler):
    """Constructs plain values and integer arrays, whatever the pickle asks for."""

    def find_class(self, module: str, name: str) -> Any:
        """Return the replacement for a name that a CIFAR file may use; no other is even imported."""
        path = f"{module}.{name}"
        found = _ALLOWED.get(path.replace("numpy._core.", "numpy.core."))
        if found is None:
            raise ArchiveError(f"asks for {_shown(path)}, which no CIFAR file uses: not read")
        return found
