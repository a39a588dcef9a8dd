"""One interface to NumPy, PyTorch and JAX for the DLPack tests, and what differs among them."""

import ctypes
import importlib
import os

os.environ.setdefault("JAX_PLATFORMS", "cpu")


class Memory(ctypes.Array):
    """Memory for 8 × 8 floats at an aligned address. Supports weak references."""

    _type_ = ctypes.c_float
    _length_ = 64 + 16

    @property
    def offset(self) -> int:
        """Bytes to the first address that is a multiple of 64; otherwise JAX would copy the memory."""
        return -ctypes.addressof(self) % 64


class Framework:
    """An installed framework. `dtypes` are the element types of feaug that it exports."""

    name: str
    dtypes = ("float32", "float64", "float16", "bfloat16", "int64")
    # Whether a slice or a transposed array is a view of the same memory.
    slices_share = True
    # Whether a capsule that was not consumed calls the deleter; if not, it frees the memory in another way.
    capsule_calls_deleter = True

    def __init__(self):
        self.module = importlib.import_module(self.name)

    def array(self, values, dtype="float32"):
        """A new array from nested lists."""
        raise NotImplementedError

    def over(self, memory: Memory):
        """An 8 × 8 matrix of floats in this memory. The matrix keeps the memory alive."""
        raise NotImplementedError

    def pointer(self, array) -> int:
        raise NotImplementedError


class NumPy(Framework):
    name = "numpy"
    dtypes = ("float32", "float64", "float16", "int64")

    def array(self, values, dtype="float32"):
        return self.module.array(values, dtype)

    def over(self, memory):
        floats = self.module.frombuffer(memory, "float32", count=64, offset=memory.offset)
        return floats.reshape(8, 8)

    def pointer(self, array):
        return array.ctypes.data


class PyTorch(Framework):
    name = "torch"

    def array(self, values, dtype="float32"):
        return self.module.tensor(values, dtype=getattr(self.module, dtype))

    def over(self, memory):
        floats = self.module.frombuffer(
            memory, dtype=self.module.float32, count=64, offset=memory.offset
        )
        return floats.reshape(8, 8)

    def pointer(self, array):
        return array.data_ptr()


class Jax(Framework):
    name = "jax"
    slices_share = False
    capsule_calls_deleter = False

    def __init__(self):
        super().__init__()
        self.module.config.update("jax_enable_x64", True)

    def array(self, values, dtype="float32"):
        return self.module.numpy.array(values, dtype)

    def over(self, memory):
        return self.module.dlpack.from_dlpack(NumPy().over(memory))  # JAX requires NumPy

    def pointer(self, array):
        return array.unsafe_buffer_pointer()
