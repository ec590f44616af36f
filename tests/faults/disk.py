"""A disk that a test holds in its hands: SQLite's own file access, with fsync watched and writes refused at will."""

import _sqlite3
import ctypes
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

_POINTER = ctypes.sizeof(ctypes.c_void_p)
_METHODS = 19
"""Words in `sqlite3_io_methods` version 3: the version, then eighteen functions (sqlite.org/c3ref/io_methods.html)."""
_X_WRITE, _X_SYNC = 3, 5
FULL, READ_ONLY, FAILING = 13, 8, 10
"""Why a disk refuses to be written: no room, not allowed, broken (sqlite.org/rescode.html)."""

# The name stays a bare address: SQLite keeps it and reads past its end, so it must not become a copy.
_Open = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p)
_Write = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int, ctypes.c_int64)
_Sync = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_int)


class _Vfs(ctypes.Structure):
    """The head of `sqlite3_vfs` (sqlite.org/c3ref/vfs.html), as far as `xOpen`."""

    _fields_ = (
        ("version", ctypes.c_int),
        ("file_size", ctypes.c_int),
        ("longest_path", ctypes.c_int),
        ("next", ctypes.c_void_p),
        ("name", ctypes.c_char_p),
        ("data", ctypes.c_void_p),
        ("open", ctypes.c_void_p),
    )


class Disk:
    """Stands between this process's SQLite and the files that it opens while the disk is entered.

    `copies`: each fsync leaves a copy there of the file as it is then. `refusal`: what every write is
    answered, 0 for yes.
    """

    def __init__(self, copies: Path | None = None) -> None:
        self.copies = copies
        self.refusal = 0
        self._paths: dict[int, Path] = {}
        self._kept_alive: list[Any] = []
        self._patched: dict[int, int] = {}
        library = _loaded_sqlite()
        library.sqlite3_vfs_find.restype = ctypes.POINTER(_Vfs)
        self._vfs = library.sqlite3_vfs_find(None).contents
        self._original = int(self._vfs.open)
        self._open = _Open(self._original)
        self._own_open = _Open(self._opened)

    def __enter__(self) -> Self:
        self._vfs.open = ctypes.cast(self._own_open, ctypes.c_void_p)
        return self

    def __exit__(self, *_: object) -> None:
        self._vfs.open = self._original

    def _opened(self, vfs: int, name: int | None, file: int, flags: int, out_flags: int) -> int:
        result = int(self._open(vfs, name, file, flags, out_flags))
        if result == 0 and name is not None:
            self._paths[file] = Path(os.fsdecode(ctypes.string_at(name)))
            methods = ctypes.cast(file, ctypes.POINTER(ctypes.c_void_p))
            original = methods[0]
            if original:
                methods[0] = self._with_own_methods(original)
        return result

    def _with_own_methods(self, original: int) -> int:
        if original not in self._patched:
            table = (ctypes.c_void_p * _METHODS)()
            ctypes.memmove(table, original, _METHODS * _POINTER)
            write, sync = _Write(table[_X_WRITE] or 0), _Sync(table[_X_SYNC] or 0)
            own_write, own_sync = _Write(self._written(write)), _Sync(self._synced(sync))
            table[_X_WRITE] = ctypes.cast(own_write, ctypes.c_void_p).value
            table[_X_SYNC] = ctypes.cast(own_sync, ctypes.c_void_p).value
            self._kept_alive.extend((table, write, sync, own_write, own_sync))
            self._patched[original] = ctypes.addressof(table)
        return self._patched[original]

    def _written(self, write: Callable[[int, int, int, int], int]) -> Callable[[int, int, int, int], int]:
        def run(file: int, data: int, size: int, offset: int) -> int:
            return self.refusal or int(write(file, data, size, offset))

        return run

    def _synced(self, sync: Callable[[int, int], int]) -> Callable[[int, int], int]:
        def run(file: int, flags: int) -> int:
            result = int(sync(file, flags))
            if self.copies is not None:
                path = self._paths[file]
                # Whole or not at all, for a kill may come at any moment.
                fresh = self.copies / f"{path.name}.fresh"
                shutil.copyfile(path, fresh)
                fresh.rename(self.copies / path.name)
            return result

        return run


def _loaded_sqlite() -> ctypes.CDLL:
    """The very library that Python's sqlite3 module runs on."""
    maps = Path("/proc/self/maps").read_text(encoding="utf-8")
    found = re.search(r"(/\S*libsqlite3\S*)", maps)
    return ctypes.CDLL(found.group(1) if found else _sqlite3.__file__)
