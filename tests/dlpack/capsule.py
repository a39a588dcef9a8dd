"""DLPack's structs and the lifetime of a capsule, with ctypes."""

import contextlib
import ctypes


class Tensor(ctypes.Structure):
    _fields_ = [
        ("data", ctypes.c_void_p),
        ("device_type", ctypes.c_int32),
        ("device_id", ctypes.c_int32),
        ("ndim", ctypes.c_int32),
        ("code", ctypes.c_uint8),
        ("bits", ctypes.c_uint8),
        ("lanes", ctypes.c_uint16),
        ("shape", ctypes.c_void_p),
        ("strides", ctypes.c_void_p),
        ("byte_offset", ctypes.c_uint64),
    ]


class Legacy(ctypes.Structure):
    _fields_ = [("tensor", Tensor), ("context", ctypes.c_void_p), ("deleter", ctypes.c_void_p)]


class Versioned(ctypes.Structure):
    _fields_ = [
        ("major", ctypes.c_uint32),
        ("minor", ctypes.c_uint32),
        ("context", ctypes.c_void_p),
        ("deleter", ctypes.c_void_p),
        ("flags", ctypes.c_uint64),
        ("tensor", Tensor),
    ]


DELETER = ctypes.CFUNCTYPE(None, ctypes.c_void_p)
STRUCTS = {b"dltensor": Legacy, b"dltensor_versioned": Versioned}
# Names of capsules whose tensor was consumed. A capsule stores the pointer to its name, so these are never freed.
USED = {name: ctypes.create_string_buffer(b"used_" + name) for name in STRUCTS}

api = ctypes.pythonapi
api.PyCapsule_GetName.restype = ctypes.c_char_p
api.PyCapsule_GetName.argtypes = [ctypes.py_object]
api.PyCapsule_GetPointer.restype = ctypes.c_void_p
api.PyCapsule_GetPointer.argtypes = [ctypes.py_object, ctypes.c_char_p]
api.PyCapsule_SetName.argtypes = [ctypes.py_object, ctypes.c_void_p]


class Managed(ctypes.Structure):
    """A capsule's name and pointer, passed to the C library. `held` keeps the capsule alive."""

    _fields_ = [("name", ctypes.c_char_p), ("pointer", ctypes.c_void_p)]

    @classmethod
    def of(cls, capsule):
        name = api.PyCapsule_GetName(capsule)
        managed = cls(name, api.PyCapsule_GetPointer(capsule, name))
        managed.held = capsule
        return managed

    @property
    def fields(self):
        return STRUCTS[self.name].from_address(self.pointer)

    @property
    def tensor(self) -> Tensor:
        return self.fields.tensor

    def drop(self):
        """Releases the capsule, and with it the tensor unless that was consumed."""
        self.held = None

    def consume(self):
        """Takes the tensor out of its capsule. Afterwards the caller must call `release`."""
        api.PyCapsule_SetName(self.held, ctypes.addressof(USED[self.name]))
        self.drop()

    def release(self):
        DELETER(self.fields.deleter)(self.pointer)


def legacy(array) -> Managed:
    return Managed.of(array.__dlpack__())


def versioned(array) -> Managed:
    """Requests the versioned struct. A producer that supports only the old struct returns that."""
    return Managed.of(array.__dlpack__(max_version=(1, 0)))


class CountedDeleter:
    """Wraps the producer's deleter and counts its calls. Must outlive the tensor."""

    def __init__(self, managed: Managed):
        self.calls = 0
        self.original = DELETER(managed.fields.deleter)
        self.callback = DELETER(self.count)
        managed.fields.deleter = ctypes.cast(self.callback, ctypes.c_void_p).value

    def count(self, pointer):
        self.calls += 1
        self.original(pointer)


@contextlib.contextmanager
def changed(struct: ctypes.Structure, **values):
    """Sets fields of a producer's struct to other values inside a `with` block."""
    before = {name: getattr(struct, name) for name in values}
    for name, value in values.items():
        setattr(struct, name, value)
    try:
        yield
    finally:
        for name, value in before.items():
            setattr(struct, name, value)
