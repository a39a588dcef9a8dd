"""The C functions of borrowed.cpp. An error of feaug becomes a Python exception."""

import ctypes
import math
from typing import NamedTuple

from capsule import Managed


class Refused(Exception):
    pass


class View(NamedTuple):
    data: int
    extents: tuple
    strides: tuple


class _View(ctypes.Structure):
    _fields_ = [
        ("data", ctypes.c_void_p),
        ("extents", ctypes.c_int64 * 2),
        ("strides", ctypes.c_int64 * 2),
    ]


class Library:
    def __init__(self, path: str):
        library = ctypes.CDLL(path)
        managed, text, numbers = (
            ctypes.POINTER(Managed),
            ctypes.c_char_p,
            ctypes.POINTER(ctypes.c_double),
        )
        self._describe = library.feaug_describe
        self._describe.argtypes = [managed, text, ctypes.c_int, ctypes.c_int, ctypes.POINTER(_View)]
        self._read = library.feaug_read
        self._read.argtypes = [managed, text, ctypes.c_int, numbers]
        self._write = library.feaug_write
        self._write.argtypes = [managed, text, ctypes.c_int, numbers]
        self._l2_normalize = library.feaug_l2_normalize
        self._l2_normalize.argtypes = [managed, managed, text]
        for function in (self._describe, self._read, self._write, self._l2_normalize):
            function.restype = text
            function.errcheck = _raise

    def view(self, x: Managed, dtype="float32", rank=2, written=False) -> View:
        view = _View()
        self._describe(x, dtype.encode(), rank, written, view)
        return View(view.data or 0, tuple(view.extents[:rank]), tuple(view.strides[:rank]))

    def read(self, x: Managed, dtype="float32", rank=2) -> list:
        """Every element, in row-major order."""
        values = (ctypes.c_double * math.prod(self.view(x, dtype, rank).extents))()
        self._read(x, dtype.encode(), rank, values)
        return list(values)

    def write(self, x: Managed, values: list, dtype="float32", rank=2):
        self._write(x, dtype.encode(), rank, (ctypes.c_double * len(values))(*values))

    def l2_normalize(self, x: Managed, out: Managed, dtype="float32"):
        self._l2_normalize(x, out, dtype.encode())


def _raise(message, _function, _arguments):
    if message is not None:
        raise Refused(message.decode())
