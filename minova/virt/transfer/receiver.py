# SPDX-License-Identifier: Apache-2.0
"""What one guest is being handed over, in a directory of the destination.

::

    COMING/transfer_ticket.json   who may hand over; without it nobody may
    COMING/files/            the guest's files, as far as they have come

When all has come ``files`` is renamed: that it is not there any more is how
the destination knows that the guest has arrived. A base, on which disks of
several guests may stand, comes into a directory of its own under a name that
is not its own, and gets its own when it is whole.

What was found to be whole is remembered by this process only. After a restart
it must be compared again.
"""

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

#: Of these is what may come called; no directories are in it.
_FILE_NAME = re.compile(r'[A-Za-z0-9][A-Za-z0-9._-]{0,199}')
#: Digests that are compared at a time.
MAX_DIGESTS = 64
_MAX_FILE_SIZE = 1 << 60


class RequestRejected(Exception):
    """A request is not granted; its status and text go to who asks."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


@dataclasses.dataclass(frozen=True)
class Manifest:
    """What will come.

    ``files`` and ``bases`` are sizes in bytes, by name; ``overlays`` says on
    which base, of which format, a file stands. With ``shared`` the files are
    there already, because both hosts see the same directory.
    """

    files: dict[str, int]
    bases: dict[str, int]
    overlays: dict[str, tuple[str, str]]
    shared: bool

    @classmethod
    def parse(cls, form: Any) -> 'Manifest':
        """Read a plan; Refusal for one that cannot be meant."""
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
                400, f'this is no plan: {error!r}'
            ) from error
        for name in (*manifest.files, *manifest.bases, *manifest.overlays):
            if not _FILE_NAME.fullmatch(name):
                raise RequestRejected(400, f'{name!r} is no name of a file')
        for size in (*manifest.files.values(), *manifest.bases.values()):
            if not 0 <= size < _MAX_FILE_SIZE:
                raise RequestRejected(400, f'{size} is no size of a file')
        for base, _ in manifest.overlays.values():
            if base not in manifest.bases:
                raise RequestRejected(400, f'{base!r} is not among the bases')
        return manifest

    def as_dict(self) -> dict[str, Any]:
        """Return what ``of`` reads."""
        return dataclasses.asdict(self)


class ReceiverStorage(Protocol):
    """Where a destination keeps things; all names are its own."""

    def incoming_directory(self, uuid: str) -> str:
        """Return the directory of what comes for a guest."""

    def base_path(self, name: str) -> str:
        """Return the path that a base has, or would have."""

    def partial_base_path(self, uuid: str, name: str) -> str:
        """Return its path while it comes, in the same directory."""

    def commit(self, uuid: str, manifest: Manifest) -> None:
        """Make what has come the guest's own, in one instant.

        Raises OSError, and Refusal for what is not fit to be used.
        """


class Receiver:
    """What comes for one guest, by one transfer_ticket."""

    def __init__(
        self, uuid: str, token: str, storage: ReceiverStorage
    ) -> None:
        self.token = token
        self.lock = clock.lock()
        self._uuid = uuid
        self._storage = storage
        self._files = os.path.join(storage.incoming_directory(uuid), 'files')
        self._manifest: Manifest | None = None
        #: Blocks that are as the source says, by path.
        self._verified: dict[str, set[int]] = {}

    # -- what will come ------------------------------------------------------

    def accept_manifest(self, form: Any) -> dict[str, Any]:
        """Make room; tell whether all of it has arrived before."""
        manifest = Manifest.parse(form)
        if not manifest.shared and not os.path.isdir(self._files):
            return {'arrived': True}
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
        return {'arrived': False}

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
                f'{path} has {found} bytes, that of the source {size}: they '
                'are not the same image',
            )

    def _require_manifest(self) -> Manifest:
        if self._manifest is None:
            # As after a restart: whoever sends begins anew.
            raise RequestRejected(503, 'it is not known what will come')
        return self._manifest

    def _locate(self, kind: str, name: str) -> tuple[str, int, bool]:
        """Return path and size, and whether it may be written."""
        manifest = self._require_manifest()
        if kind == 'files' and name in manifest.files:
            return os.path.join(self._files, name), manifest.files[name], True
        if kind == 'bases' and name in manifest.bases:
            path = self._storage.base_path(name)
            if os.path.exists(path):
                return path, manifest.bases[name], False
            part = self._storage.partial_base_path(self._uuid, name)
            return part, manifest.bases[name], True
        raise RequestRejected(404, f'{kind}/{name} is not in the plan')

    # -- what comes ----------------------------------------------------------

    def compare(self, kind: str, name: str, form: Any) -> dict[str, Any]:
        """Tell which blocks are not as the source says; the others are kept.

        What was written is on the disk, not only in memory, when it is
        compared.
        """
        path, size, writable = self._locate(kind, name)
        try:
            first, wanted = int(form['first']), list(form['digests'])
        except (KeyError, TypeError, ValueError) as error:
            raise RequestRejected(400, f'no digests: {error!r}') from error
        if first < 0 or not 0 < len(wanted) <= MAX_DIGESTS:
            raise RequestRejected(400, f'{len(wanted)} digests from {first}')
        with open(path, 'r+b' if writable else 'rb') as file:
            if writable:
                os.fdatasync(file.fileno())
            found = blocks.digests(file.fileno(), size, first, len(wanted))
        if len(found) != len(wanted):
            raise RequestRejected(
                400, f'{path} has no {len(wanted)} from {first}'
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
                409, f'{path} is not what the source has by that name'
            )
        own = self._verified.setdefault(path, set())
        own.update(range(first, first + len(wanted)))
        own.difference_update(differ)
        return {'differ': differ}

    def write(
        self, kind: str, name: str, number: int, cells: int, body: bytes
    ) -> dict[str, Any]:
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
            # Somebody else has brought it meanwhile; it is compared again.
            return {}
        self._verified.get(path, set()).discard(number)
        with open(path, 'r+b') as file:
            blocks.write_block(file.fileno(), number, block)
        return {}

    # -- it has come ---------------------------------------------------------

    def finish(self) -> dict[str, Any]:
        """Give everything its name, or tell what must be compared before."""
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
        return {'missing': missing}

    def _is_verified(self, kind: str, name: str) -> bool:
        path, size, _ = self._locate(kind, name)
        return len(self._verified.get(path, ())) == blocks.count_blocks(size)

    def _commit_base(self, name: str) -> bool:
        """Give a base its name; False when another one took it meanwhile."""
        path = self._storage.base_path(name)
        part = self._storage.partial_base_path(self._uuid, name)
        # One that has its name was compared under this name.
        named = os.path.exists(path)
        if not named:
            try:
                os.link(part, path)
            except FileExistsError:
                return False
            sync_directory(os.path.dirname(path))
            self._verified[path] = self._verified.pop(part, set())
        with contextlib.suppress(FileNotFoundError):
            os.unlink(part)
        return True


# -- invitations -------------------------------------------------------------


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
    """Tell whether what somebody was invited for has come."""
    return not os.path.isdir(os.path.join(folder, 'files'))


class Receivers:
    """All that comes to a host."""

    def __init__(self, storage: ReceiverStorage) -> None:
        self._storage = storage
        self._guard = clock.lock()
        self._receivers: dict[str, Receiver] = {}

    @contextlib.contextmanager
    def authorize(self, uuid: str, token: str) -> Any:
        """Have a reception to oneself; Refusal without its token.

        Who is refused does not learn whether there is such a guest.
        """
        receiver = self._find(uuid, token)
        with receiver.lock:
            # It may have been taken back while another request was served.
            if self._find(uuid, token) is not receiver:
                raise RequestRejected(403, 'another transfer_ticket holds')
            yield receiver

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
            403, 'there is no transfer_ticket with this token, or not any more'
        )


def _ticket_path(folder: str) -> str:
    return os.path.join(folder, 'transfer_ticket.json')


def _create_file(path: str, size: int) -> None:
    """Have a file of so many bytes; what is in it stays."""
    number = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o644)
    try:
        if os.fstat(number).st_size != size:
            os.ftruncate(number, size)
    finally:
        os.close(number)


def sync_directory(path: str) -> None:
    """Have the names in a directory on the disk."""
    number = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(number)
    except OSError as error:
        # Some file systems of networks have no such thing.
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise
    finally:
        os.close(number)
