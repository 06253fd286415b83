# SPDX-License-Identifier: Apache-2.0
"""The files that a destination receives for one guest, in one directory.

::

    INCOMING/transfer_ticket.json   the valid ticket
    INCOMING/files/                 the guest's files, maybe incomplete

The commit renames ``files``: its absence marks the transfer as complete. A
base of overlays, which several guests may share, is received beside the image
cache under a temporary name and linked to its final name once it is verified.

The set of verified blocks is kept in memory. After a restart the source
compares all blocks again.
"""

from collections.abc import Iterator
import contextlib
import dataclasses
import errno
import hmac
import os
import re
from typing import Any
from typing import Protocol

import orjson

from minova import clock
from minova.objects.transfer_ticket import TransferTicket
from minova.virt.transfer import blocks

#: The permitted file names; without directories.
_FILE_NAME = re.compile(r'[A-Za-z0-9][A-Za-z0-9._-]{0,199}')
#: The maximum number of digests per request.
MAX_DIGESTS = 64
_MAX_FILE_SIZE = 1 << 60
#: A guest has at most three disks, with auxiliary files and bases.
_MAX_FILES = 64
_BASE_FORMATS = ('raw', 'qcow2')


class RequestRejected(Exception):
    """A request is rejected with an HTTP status and a text."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


@dataclasses.dataclass(frozen=True)
class Manifest:
    """The files of a transfer.

    ``files`` and ``bases`` map names to sizes in bytes; ``overlays`` maps the
    name of an overlay to its base and the base's format. With ``shared`` the
    files are on shared storage and only bases are sent.
    """

    files: dict[str, int]
    bases: dict[str, int]
    overlays: dict[str, tuple[str, str]]
    shared: bool

    @classmethod
    def parse(cls, form: Any) -> 'Manifest':
        """Return a manifest from its JSON form; RequestRejected if invalid."""
        try:
            manifest = cls(
                {str(name): int(size) for name, size in form['files'].items()},
                {str(name): int(size) for name, size in form['bases'].items()},
                {
                    str(name): (str(base), str(kind))
                    for name, (base, kind) in form['overlays'].items()
                },
                bool(form['shared']),
            )
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise RequestRejected(
                400, f'invalid manifest: {error!r}'
            ) from error
        for name in (*manifest.files, *manifest.bases, *manifest.overlays):
            if not _FILE_NAME.fullmatch(name):
                raise RequestRejected(400, f'invalid file name {name[:64]!r}')
        for size in (*manifest.files.values(), *manifest.bases.values()):
            if not 0 <= size < _MAX_FILE_SIZE:
                raise RequestRejected(400, f'invalid file size {size}')
        if len(manifest.files) + len(manifest.bases) > _MAX_FILES:
            raise RequestRejected(
                400, f'a manifest has at most {_MAX_FILES} files'
            )
        for base, kind in manifest.overlays.values():
            if kind not in _BASE_FORMATS:
                raise RequestRejected(
                    400, f'invalid base format {kind[:64]!r}'
                )
            if base not in manifest.bases:
                raise RequestRejected(
                    400, f'base {base!r} is not in the manifest'
                )
        return manifest

    def base_formats(self, name: str) -> set[str]:
        """Return the formats that the overlays of a base name, or raw."""
        named = {kind for base, kind in self.overlays.values() if base == name}
        return named or {'raw'}

    def as_dict(self) -> dict[str, object]:
        """Return the form that ``parse`` reads."""
        return dataclasses.asdict(self)


class ReceiverStorage(Protocol):
    """The paths of a destination."""

    def incoming_directory(self, uuid: str) -> str:
        """Return the directory for the incoming files of a guest."""

    def base_path(self, name: str) -> str:
        """Return the final path of a base."""

    def partial_base_path(self, uuid: str, name: str) -> str:
        """Return the temporary path of a base, on the same file system."""

    def check_base(self, path: str, base_format: str) -> None:
        """Raise RequestRejected for a base that names other files."""

    def commit(self, uuid: str, manifest: Manifest) -> None:
        """Make the received files the disks of the guest, with one rename.

        Raises OSError, and RequestRejected for files that cannot be used.
        """


class Receiver:
    """The incoming files of one guest, for one ticket."""

    def __init__(
        self, uuid: str, token: str, storage: ReceiverStorage
    ) -> None:
        self.token = token
        self.lock = clock.lock()
        self._uuid = uuid
        self._storage = storage
        self._files = os.path.join(storage.incoming_directory(uuid), 'files')
        self._manifest: Manifest | None = None
        #: The blocks that match the source's digests, by path.
        self._verified: dict[str, set[int]] = {}

    # -- the manifest ------------------------------------------------------

    def accept_manifest(self, manifest: Manifest) -> bool:
        """Create the files; return whether all have arrived before."""
        if not manifest.shared and not os.path.isdir(self._files):
            return True
        self._verified.clear()
        if not manifest.shared:
            for name in os.listdir(self._files):
                if name not in manifest.files:
                    os.unlink(os.path.join(self._files, name))
            for name, size in manifest.files.items():
                _create_file(os.path.join(self._files, name), size)
        for name, size in manifest.bases.items():
            self._make_base(name, size)
        self._manifest = manifest
        return False

    def _make_base(self, name: str, size: int) -> None:
        path = self._storage.base_path(name)
        try:
            found = os.stat(path).st_size
        except FileNotFoundError:
            os.makedirs(os.path.dirname(path), exist_ok=True)
            _create_file(
                self._storage.partial_base_path(self._uuid, name), size
            )
            return
        if found != size:
            raise RequestRejected(
                409,
                f'{path} has {found} bytes, the image of the source {size}: '
                'the images differ',
            )

    def _require_manifest(self) -> Manifest:
        if self._manifest is None:
            # After a restart: the source starts over.
            raise RequestRejected(
                503, 'the destination has no manifest of this transfer'
            )
        return self._manifest

    def _locate(self, kind: str, name: str) -> tuple[str, int, bool]:
        """Return path, size and whether the file may be written."""
        manifest = self._require_manifest()
        if kind == 'files' and name in manifest.files:
            return os.path.join(self._files, name), manifest.files[name], True
        if kind == 'bases' and name in manifest.bases:
            path = self._storage.base_path(name)
            if os.path.exists(path):
                return path, manifest.bases[name], False
            part = self._storage.partial_base_path(self._uuid, name)
            return part, manifest.bases[name], True
        raise RequestRejected(404, f'{kind}/{name} is not in the manifest')

    # -- the blocks ----------------------------------------------------------

    def compare(
        self, kind: str, name: str, first: int, wanted: list[str]
    ) -> list[int]:
        """Return the numbers of the blocks that differ from the source's.

        Written blocks are synced to the disk before they are compared.
        """
        path, size, writable = self._locate(kind, name)
        if first < 0 or not 0 < len(wanted) <= MAX_DIGESTS:
            raise RequestRejected(
                400, f'{len(wanted)} digests from block {first} are invalid'
            )
        with open(path, 'r+b' if writable else 'rb') as file:
            if writable:
                os.fdatasync(file.fileno())
            found = blocks.digests(file.fileno(), size, first, len(wanted))
        if len(found) != len(wanted):
            raise RequestRejected(
                400, f'{path} has no {len(wanted)} blocks from {first}'
            )
        differ = [
            first + position
            for position, (one, other) in enumerate(
                zip(wanted, found, strict=True)
            )
            if one != other
        ]
        if differ and not writable:
            raise RequestRejected(
                409,
                f'{path} differs from the image of the source with that name',
            )
        own = self._verified.setdefault(path, set())
        own.update(range(first, first + len(wanted)))
        own.difference_update(differ)
        return differ

    def write(
        self, kind: str, name: str, number: int, cells: int, body: bytes
    ) -> None:
        """Write a block."""
        path, size, writable = self._locate(kind, name)
        if not 0 <= number < blocks.count_blocks(size):
            raise RequestRejected(400, f'{name} has no block {number}')
        try:
            block = blocks.unpack(
                cells, body, blocks.block_length(size, number)
            )
        except ValueError as error:
            raise RequestRejected(400, str(error)) from error
        if not writable:
            # Another transfer completed the base meanwhile; the source
            # compares it again.
            return
        self._verified.get(path, set()).discard(number)
        with open(path, 'r+b') as file:
            blocks.write_block(file.fileno(), number, block)

    # -- the commit ----------------------------------------------------------

    def finish(self) -> list[str]:
        """Commit the files, or return those that must be compared first."""
        manifest = self._require_manifest()
        missing = [
            f'{kind}/{name}'
            for kind, names in (
                ('bases', manifest.bases),
                ('files', manifest.files),
            )
            for name in names
            if not (manifest.shared and kind == 'files')
            and not self._is_verified(kind, name)
        ]
        if not missing:
            missing = [
                f'bases/{name}'
                for name in manifest.bases
                if not self._commit_base(name)
            ]
        if not missing:
            self._storage.commit(self._uuid, manifest)
        return missing

    def _is_verified(self, kind: str, name: str) -> bool:
        path, size, _ = self._locate(kind, name)
        return len(self._verified.get(path, ())) == blocks.count_blocks(size)

    def _commit_base(self, name: str) -> bool:
        """Link a base to its final name; False when the name was taken."""
        path = self._storage.base_path(name)
        part = self._storage.partial_base_path(self._uuid, name)
        # A base with its final name was compared under that name.
        named = os.path.exists(path)
        if not named:
            for base_format in self._require_manifest().base_formats(name):
                self._storage.check_base(part, base_format)
            try:
                os.link(part, path)
            except FileExistsError:
                return False
            sync_directory(os.path.dirname(path))
            self._verified[path] = self._verified.pop(part, set())
        with contextlib.suppress(FileNotFoundError):
            os.unlink(part)
        return True


# -- tickets -----------------------------------------------------------------


def write_ticket(folder: str, transfer_ticket: TransferTicket) -> None:
    """Issue a ticket in a directory that exists."""
    os.makedirs(os.path.join(folder, 'files'), exist_ok=True)
    path = _ticket_path(folder)
    number = os.open(
        f'{path}.part', os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600
    )
    with os.fdopen(number, 'wb') as file:
        file.write(orjson.dumps(transfer_ticket.to_wire()))
        file.flush()
        os.fsync(number)
    os.replace(f'{path}.part', path)
    sync_directory(folder)


def read_ticket(folder: str) -> TransferTicket | None:
    """Return the valid ticket; None when none is issued."""
    try:
        with open(_ticket_path(folder), 'rb') as file:
            return TransferTicket.from_wire(orjson.loads(file.read()))
    except (FileNotFoundError, NotADirectoryError, orjson.JSONDecodeError):
        return None


def is_received(folder: str) -> bool:
    """Return whether the transfer of a ticket is complete."""
    return not os.path.isdir(os.path.join(folder, 'files'))


class Receivers:
    """All transfers to a host."""

    def __init__(self, storage: ReceiverStorage) -> None:
        self._storage = storage
        self._guard = clock.lock()
        self._receivers: dict[str, Receiver] = {}

    @contextlib.contextmanager
    def authorize(self, uuid: str, token: str) -> Iterator[Receiver]:
        """Yield the receiver of a guest, locked.

        Raises RequestRejected for a wrong token, which does not reveal whether
        the guest exists.
        """
        receiver = self._find(uuid, token)
        with receiver.lock:
            # The ticket may have been revoked while the lock was held.
            if self._find(uuid, token) is not receiver:
                raise RequestRejected(403, 'the transfer ticket was replaced')
            yield receiver

    def check_token(self, uuid: str, token: str) -> None:
        """Raise RequestRejected for a wrong token, without a lock."""
        self._find(uuid, token)

    def _find(self, uuid: str, token: str) -> Receiver:
        found = read_ticket(self._storage.incoming_directory(uuid))
        with self._guard:
            if found is None:
                self._receivers.pop(uuid, None)
            elif hmac.compare_digest(found.token.encode(), token.encode()):
                known = self._receivers.get(uuid)
                if known is None or known.token != token:
                    known = Receiver(uuid, token, self._storage)
                    self._receivers[uuid] = known
                return known
        raise RequestRejected(
            403, 'no transfer ticket with this token is valid'
        )


def _ticket_path(folder: str) -> str:
    return os.path.join(folder, 'transfer_ticket.json')


def _create_file(path: str, size: int) -> None:
    """Create a file of ``size`` bytes; existing content stays."""
    number = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o640)
    try:
        if os.fstat(number).st_size != size:
            os.ftruncate(number, size)
    finally:
        os.close(number)


def sync_directory(path: str) -> None:
    """Sync the names in a directory to the disk."""
    number = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(number)
    except OSError as error:
        # Some network file systems do not support it.
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise
    finally:
        os.close(number)
