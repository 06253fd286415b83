# SPDX-License-Identifier: Apache-2.0
"""Stores for small JSON records that outlive the code that uses them.

Records have paths; each change of one record is atomic. The store in memory
serves one process, the store in a directory many.
"""

from collections.abc import Iterator
import contextlib
import copy
import fcntl
import os
import tempfile
from typing import Any
from typing import Protocol

import orjson

from minova import clock

Record = dict[str, Any]


class RecordStore(Protocol):
    """Records by path, for example ``host/guests/uuid``."""

    def get(self, path: str) -> Record | None:
        """Return a record, None without one."""

    def put(self, path: str, record: Record) -> None:
        """Write a record."""

    def delete(self, path: str) -> None:
        """Delete a record if it exists."""

    def rename(self, path: str, new_path: str) -> None:
        """Move a record to another path, atomically."""

    def list_names(self, folder: str) -> list[str]:
        """Return the sorted names of the records in a folder."""

    def lock(self, name: str) -> 'contextlib.AbstractContextManager[None]':
        """Hold the lock ``name``."""


class MemoryRecordStore:
    """Records in the memory of this process."""

    def __init__(self) -> None:
        self._records: dict[str, Record] = {}
        self._locks: dict[str, clock.Lock] = {}

    def get(self, path: str) -> Record | None:
        """Return a copy of a record."""
        return copy.deepcopy(self._records.get(path))

    def put(self, path: str, record: Record) -> None:
        """Write a copy of a record."""
        self._records[path] = copy.deepcopy(record)

    def delete(self, path: str) -> None:
        """Remove a record."""
        self._records.pop(path, None)

    def rename(self, path: str, new_path: str) -> None:
        """Rename a record."""
        self._records[new_path] = self._records.pop(path)

    def list_names(self, folder: str) -> list[str]:
        """Return the names of the records in a folder."""
        prefix = f'{folder}/'
        return sorted(
            path.removeprefix(prefix)
            for path in list(self._records)
            if path.startswith(prefix)
        )

    @contextlib.contextmanager
    def lock(self, name: str) -> Iterator[None]:
        """Hold a lock of that name."""
        with self._locks.setdefault(name, clock.lock()):
            yield


class DirectoryRecordStore:
    """Records as files, for processes that share a directory."""

    def __init__(self, directory: str) -> None:
        self._directory = directory
        os.makedirs(os.path.join(directory, '.locks'), exist_ok=True)

    def _path(self, path: str) -> str:
        return os.path.join(self._directory, path)

    def get(self, path: str) -> Record | None:
        """Read a record."""
        try:
            with open(self._path(path), 'rb') as file:
                record: Record = orjson.loads(file.read())
        except FileNotFoundError:
            return None
        return record

    def put(self, path: str, record: Record) -> None:
        """Write a temporary file and rename it."""
        whole = self._path(path)
        folder = os.path.dirname(whole)
        os.makedirs(folder, exist_ok=True)
        number, temporary = tempfile.mkstemp(prefix='.', dir=folder)
        with os.fdopen(number, 'wb') as file:
            file.write(orjson.dumps(record))
        os.replace(temporary, whole)

    def delete(self, path: str) -> None:
        """Remove a record."""
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self._path(path))

    def rename(self, path: str, new_path: str) -> None:
        """Rename a file."""
        os.makedirs(os.path.dirname(self._path(new_path)), exist_ok=True)
        os.replace(self._path(path), self._path(new_path))

    def list_names(self, folder: str) -> list[str]:
        """List a folder."""
        try:
            found = os.listdir(self._path(folder))
        except FileNotFoundError:
            return []
        return sorted(name for name in found if not name.startswith('.'))

    @contextlib.contextmanager
    def lock(self, name: str) -> Iterator[None]:
        """Hold a lock on a file; the kernel releases it with its process."""
        path = os.path.join(self._directory, '.locks', name)
        with open(path, 'w', encoding='ascii') as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield
