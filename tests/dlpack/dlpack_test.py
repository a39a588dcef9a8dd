#!/usr/bin/env python3
"""Tests views of capsules of NumPy, PyTorch and JAX: addresses and strides, errors, and who frees the memory.

dlpack_test.py LIBRARY
"""

import gc
import pathlib
import re
import sys
import types
import unittest
import weakref

from capsule import CountedDeleter, Managed, changed, legacy, versioned
from frameworks import Framework, Jax, Memory, NumPy, PyTorch
from library import Library, Refused, View

LIBRARY: Library
VIEW_PAGE = pathlib.Path(__file__).parents[2] / "docs/view.md"

ROWS = [[0.0, 1.0, 2.0], [3.0, 4.0, 5.0], [6.0, 7.0, 8.0], [9.0, 10.0, 11.0]]
ELEMENTS = [value for row in ROWS for value in row]
UNMAPPED = 64  # an address that must not be accessed
READ_ONLY = "from_dlpack: flags: got a read-only tensor, wanted a writable one, or const elements"


def flat(array) -> list:
    return [value for row in array.tolist() for value in row]


class Capsules:
    """Tests for the capsules of every framework, with both structs (legacy and versioned)."""

    kind: type[Framework]
    export = staticmethod(legacy)
    name = b"dltensor"

    @classmethod
    def setUpClass(cls):
        try:
            cls.framework = cls.kind()
        except ModuleNotFoundError as error:
            if error.name != cls.kind.name:
                raise
            raise unittest.SkipTest(f"no {cls.kind.name} here") from None

    def refuses(self, message: str, call, *arguments, **options):
        with self.assertRaises(Refused) as caught:
            call(*arguments, **options)
        self.assertEqual(str(caught.exception), message)

    def test_a_matrix_is_viewed_where_it_lies(self):
        x = self.framework.array(ROWS)
        managed = self.export(x)
        self.assertEqual(managed.name, self.name)
        for written in (False, True):
            view = LIBRARY.view(managed, written=written)
            self.assertEqual(view, View(self.framework.pointer(x), (4, 3), (3, 1)))
        self.assertEqual(LIBRARY.read(managed), ELEMENTS)

    def test_what_is_written_is_seen(self):
        x = self.framework.array(ROWS)
        LIBRARY.write(self.export(x), ELEMENTS[::-1])
        self.assertEqual(flat(x), ELEMENTS[::-1])

    def test_every_type_is_its_own(self):
        for dtype in self.framework.dtypes:
            x = self.framework.array([[1, 2], [3, 4]], dtype)
            managed = self.export(x)
            self.assertEqual(LIBRARY.view(managed, dtype).data, self.framework.pointer(x))
            self.assertEqual(LIBRARY.read(managed, dtype), [1, 2, 3, 4])
            LIBRARY.write(managed, [8, 7, 6, 5], dtype)
            self.assertEqual(flat(x), [8, 7, 6, 5])
            for other in {*Framework.dtypes} - {dtype}:
                message = f"from_dlpack: dtype: got {dtype}, wanted {other}"
                self.refuses(message, LIBRARY.view, managed, other)

    def test_types_that_feaug_has_not(self):
        for dtype, values in (("bool", [True, False]), ("int32", [1, 2])):
            managed = self.export(self.framework.array(values, dtype))
            message = f"vector_from_dlpack: dtype: got {dtype}, wanted int64"
            self.refuses(message, LIBRARY.view, managed, "int64", rank=1)

    def test_an_operator_from_one_tensor_to_another_and_in_place(self):
        for dtype in {*self.framework.dtypes} - {"int64"}:
            x = self.framework.array([[3, 4], [0, 2]], dtype)
            out = self.framework.array([[0, 0], [0, 0]], dtype)
            LIBRARY.l2_normalize(self.export(x), self.export(out), dtype)
            for got, wanted in zip(flat(out), [0.6, 0.8, 0, 1]):
                self.assertAlmostEqual(got, wanted, delta=2e-3 if "16" in dtype else 1e-6)
            self.assertEqual(flat(x), [3, 4, 0, 2])
            managed = self.export(x)
            LIBRARY.l2_normalize(managed, managed, dtype)
            self.assertEqual(flat(x), flat(out))

    def test_labels_of_any_stride(self):
        labels = self.framework.array([5, -6, 7, 8, 2**40], "int64")[::2]
        managed = self.export(labels)
        stride = 2 if self.framework.slices_share else 1
        view = LIBRARY.view(managed, "int64", rank=1)
        self.assertEqual(view, View(self.framework.pointer(labels), (3,), (stride,)))
        self.assertEqual(LIBRARY.read(managed, "int64", rank=1), [5, 7, 2**40])

    def test_slices(self):
        x = self.framework.array(ROWS)
        slices = {
            "later rows": (x[1:], 3, (3, 3), (3, 1)),
            "every other row": (x[::2], 0, (2, 3), (6, 1)),
            "columns": (x[:, 1:3], 1, (4, 2), (3, 1)),
            "a row": (x[2:3], 6, (1, 3), (3, 1)),
            "a column": (x[:, 1:2], 1, (4, 1), (3, 1)),
            "a row as a column": (x.T[:, 1:2], 3, (3, 1), (1, 1)),
        }
        for name, (part, offset, extents, strides) in slices.items():
            managed = self.export(part)
            view = LIBRARY.view(managed, written=True)
            if self.framework.slices_share:
                pointer = self.framework.pointer(x) + 4 * offset
                self.assertEqual(view, View(pointer, extents, strides), name)
            else:
                packed = (extents[1], 1)
                self.assertEqual(view, View(self.framework.pointer(part), extents, packed), name)
            self.assertEqual(LIBRARY.read(managed), flat(part), name)

    def test_transposed(self):
        managed = self.export(self.framework.array(ROWS).T)
        if self.framework.slices_share:
            message = (
                "from_dlpack: tensor: got stride 3 along the features, "
                "wanted stride 1 (contiguous features)"
            )
            self.refuses(message, LIBRARY.view, managed)
        else:
            self.assertEqual(LIBRARY.read(managed), [x for column in zip(*ROWS) for x in column])

    def test_rank(self):
        scalar, vector, matrix = (
            self.export(self.framework.array(values)) for values in (1.0, [1.0, 2.0], ROWS)
        )
        message = "vector_from_dlpack: ndim: got 0, wanted 1"
        self.refuses(message, LIBRARY.view, scalar, rank=1)
        self.refuses("from_dlpack: ndim: got 1, wanted 2", LIBRARY.view, vector)
        message = "vector_from_dlpack: ndim: got 2, wanted 1"
        self.refuses(message, LIBRARY.view, matrix, rank=1)

    def test_no_elements(self):
        no_rows = self.framework.array(ROWS)[:0]
        no_columns = self.framework.array([[], [], []])
        for x, extents in ((no_rows, (0, 3)), (no_columns, (3, 0))):
            managed = self.export(x)
            view = LIBRARY.view(managed, written=True)
            self.assertEqual((view.data, view.extents), (0, extents))
            self.assertEqual(LIBRARY.read(managed), [])
            LIBRARY.l2_normalize(managed, managed)

    # Cases that none of these frameworks exports on a CPU, but others may: tested with a modified capsule.

    def test_a_byte_offset(self):
        x = self.framework.array(ROWS)
        managed = self.export(x)
        with changed(managed.tensor, data=self.framework.pointer(x) - 12, byte_offset=12):
            self.assertEqual(LIBRARY.view(managed).data, self.framework.pointer(x))
            self.assertEqual(LIBRARY.read(managed), ELEMENTS)
        with changed(managed.tensor, byte_offset=2):
            message = (
                "from_dlpack: data: got an address (byte_offset 2 included) "
                "that is no multiple of 4, wanted an aligned one"
            )
            self.refuses(message, LIBRARY.view, managed)

    def test_null_strides(self):
        x = self.framework.array(ROWS)
        managed = self.export(x)
        with changed(managed.tensor, strides=None):
            view = LIBRARY.view(managed)
            self.assertEqual(view, View(self.framework.pointer(x), (4, 3), (3, 1)))
            self.assertEqual(LIBRARY.read(managed), ELEMENTS)

    def test_memory_elsewhere_is_not_touched(self):
        managed = self.export(self.framework.array(ROWS))
        out = self.export(self.framework.array(ROWS))
        for device, name in ((2, "CUDA"), (8, "device type 8"), (10**6, "device type 1000000")):
            message = f"from_dlpack: device: got {name}, wanted CPU"
            with changed(managed.tensor, device_type=device, data=UNMAPPED):
                self.refuses(message, LIBRARY.view, managed)
                self.refuses(message, LIBRARY.write, managed, ELEMENTS)
                self.refuses(message, LIBRARY.l2_normalize, managed, out)
                self.refuses(message, LIBRARY.l2_normalize, out, managed)
        self.assertEqual(LIBRARY.read(out), ELEMENTS)

    # When memory is freed, and by whom. Each test has its own memory, which only the capsule keeps alive.

    def borrow(self):
        memory = Memory(*range(Memory._length_))
        self.alive = weakref.ref(memory)
        self.first = memory.offset // 4
        managed = self.export(self.framework.over(memory))
        self.deleter = CountedDeleter(managed)
        return managed

    def assert_alive(self, managed):
        gc.collect()
        self.assertIsNotNone(self.alive())
        self.assertEqual(self.deleter.calls, 0)
        self.assertEqual(LIBRARY.read(managed), list(range(self.first, self.first + 64)))

    def assert_freed(self, calls: int):
        gc.collect()  # JAX frees deleted arrays when the garbage collector runs
        self.assertIsNone(self.alive())
        self.assertEqual(self.deleter.calls, calls)

    def test_a_consumed_tensor_is_freed_by_its_consumer(self):
        managed = self.borrow()
        self.assert_alive(managed)
        managed.consume()
        self.assert_alive(managed)
        managed.release()
        self.assert_freed(calls=1)

    def test_a_tensor_that_was_not_consumed_is_freed_by_its_capsule(self):
        managed = self.borrow()
        self.assert_alive(managed)
        managed.drop()
        self.assert_freed(calls=1 if self.framework.capsule_calls_deleter else 0)

    def test_a_refused_tensor_is_freed_by_its_capsule(self):
        managed = self.borrow()
        message = "from_dlpack: dtype: got float32, wanted float64"
        self.refuses(message, LIBRARY.view, managed, "float64")
        self.assert_alive(managed)
        managed.drop()
        self.assert_freed(calls=1 if self.framework.capsule_calls_deleter else 0)


class VersionedCapsules:
    """Tests for the versioned struct only."""

    export = staticmethod(versioned)
    name = b"dltensor_versioned"

    def test_another_major_version(self):
        managed = self.export(self.framework.array(ROWS))
        with changed(managed.fields, major=2, minor=5):
            self.refuses("from_dlpack: version: got 2.5, wanted 1.x", LIBRARY.view, managed)


class DocumentedCall:
    def test_the_documented_call(self):
        code = re.search(r"```python\n(.*?)```", VIEW_PAGE.read_text(), re.DOTALL)[1]
        x = self.framework.array([[3.0, 4.0]])

        def normalize_rows(pointer):
            managed = Managed(self.name, pointer.value)
            LIBRARY.l2_normalize(managed, managed)

        exec(code, {"x": x, "library": types.SimpleNamespace(normalize_rows=normalize_rows)})
        self.assertAlmostEqual(x.tolist()[0][0], 0.6, delta=1e-6)


class NumPyCapsules(Capsules):
    kind = NumPy

    def test_backwards(self):
        message = "from_dlpack: tensor: got row stride -3, wanted 0 or at least 3 (its columns)"
        self.refuses(message, LIBRARY.view, self.export(self.framework.array(ROWS)[::-1]))
        labels = self.export(self.framework.array([1, 2, 3], "int64")[::-1])
        self.assertEqual(LIBRARY.read(labels, "int64", rank=1), [3, 2, 1])

    def test_misaligned(self):
        x = self.framework.module.frombuffer(bytearray(64), "float32", count=12, offset=2)
        message = (
            "from_dlpack: data: got an address (byte_offset 0 included) "
            "that is no multiple of 4, wanted an aligned one"
        )
        self.refuses(message, LIBRARY.view, self.export(x.reshape(4, 3)))


class NumPyLegacy(DocumentedCall, NumPyCapsules, unittest.TestCase):
    def test_read_only_cannot_be_said(self):
        x = self.framework.array(ROWS)
        x.flags.writeable = False
        with self.assertRaisesRegex(BufferError, "readonly"):
            self.export(x)


class NumPyVersioned(VersionedCapsules, NumPyCapsules, unittest.TestCase):
    def test_read_only(self):
        x = self.framework.array(ROWS)
        x.flags.writeable = False
        managed = self.export(x)
        self.refuses(READ_ONLY, LIBRARY.view, managed, written=True)
        self.refuses(READ_ONLY, LIBRARY.write, managed, ELEMENTS[::-1])
        self.refuses(READ_ONLY, LIBRARY.l2_normalize, managed, managed)
        self.assertEqual(flat(x), ELEMENTS)
        self.assertEqual(LIBRARY.read(managed), ELEMENTS)

    def test_broadcast(self):
        x = self.framework.module.broadcast_to(self.framework.array(ROWS)[1], (4, 3))
        managed = self.export(x)
        self.assertEqual(LIBRARY.view(managed).strides, (0, 1))
        self.assertEqual(LIBRARY.read(managed), 4 * ROWS[1])
        self.refuses(READ_ONLY, LIBRARY.view, managed, written=True)


class PyTorchCapsules(Capsules):
    kind = PyTorch

    def test_broadcast(self):
        managed = self.export(self.framework.array(ROWS)[1].expand(4, 3))
        self.assertEqual(LIBRARY.view(managed).strides, (0, 1))
        self.assertEqual(LIBRARY.read(managed), 4 * ROWS[1])
        message = (
            "from_dlpack: tensor: got row stride 0, "
            "wanted at least 3 (its columns), since it is written"
        )
        self.refuses(message, LIBRARY.view, managed, written=True)

    def test_what_pytorch_refuses_itself(self):
        with self.assertRaises(BufferError):
            self.export(self.framework.module.empty(4, 3, device="meta"))
        x = self.framework.array(ROWS).requires_grad_()
        with self.assertRaises(BufferError):
            self.export(x)
        self.assertEqual(LIBRARY.view(self.export(x.detach())).data, x.data_ptr())


class PyTorchLegacy(DocumentedCall, PyTorchCapsules, unittest.TestCase):
    pass


class PyTorchVersioned(VersionedCapsules, PyTorchCapsules, unittest.TestCase):
    pass


class JaxLegacy(DocumentedCall, Capsules, unittest.TestCase):
    kind = Jax

    def test_only_through_numpy_is_an_array_read_only(self):
        x = self.framework.array(ROWS)
        # JAX returns the old struct, which has no read-only flag, even if the versioned one is requested.
        self.assertEqual(versioned(x).name, b"dltensor")
        managed = versioned(NumPy().module.asarray(x))
        self.assertEqual(LIBRARY.view(managed).data, self.framework.pointer(x))
        self.refuses(READ_ONLY, LIBRARY.view, managed, written=True)
        self.assertEqual(LIBRARY.read(managed), ELEMENTS)


class Installed(unittest.TestCase):
    def test_a_framework_is_there(self):
        found = []
        for framework in (NumPy, PyTorch, Jax):
            try:
                found.append(f"{framework.name} {framework().module.__version__}")
            except ModuleNotFoundError:
                pass
        self.assertTrue(found, "none of NumPy, PyTorch and JAX is here")
        print(f"found {', '.join(found)}", file=sys.stderr)


if __name__ == "__main__":
    LIBRARY = Library(sys.argv.pop())
    unittest.main(verbosity=2)
