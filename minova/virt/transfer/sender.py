# SPDX-License-Identifier: Apache-2.0
"""The source's procedure: send the manifest, compare, send what differs.

The procedure is a generator of short steps, so the caller can stop between two
of them. It can start over at any time: blocks that arrived are not sent again.
"""

from collections.abc import Iterator
import contextlib
import dataclasses
import os

from minova import exception
from minova.objects.transfer_ticket import TransferTicket
from minova.virt.driver import TransferProgress
from minova.virt.transfer import blocks
from minova.virt.transfer.client import ReceiverClient
from minova.virt.transfer.receiver import Manifest
from minova.virt.transfer.receiver import MAX_DIGESTS

#: Attempts to send blocks that differ or files that change.
_MAX_ATTEMPTS = 3


@dataclasses.dataclass(frozen=True)
class FileSet:
    """The paths of the files to send by name, and their bases."""

    files: dict[str, str]
    bases: dict[str, str]
    overlays: dict[str, tuple[str, str]]
    shared: bool = False


def send(
    uuid: str, transfer_ticket: TransferTicket, file_set: FileSet
) -> Iterator[TransferProgress]:
    """Send files; after the last step the destination has verified all.

    Raises DiskTransferInterrupted when the destination does not answer,
    DiskFailed when the transfer is impossible, and OSError for own files.
    """
    with ReceiverClient(uuid, transfer_ticket) as client:
        for _ in range(_MAX_ATTEMPTS):
            before = _file_stamps(file_set)
            sender = _Sender(uuid, client, file_set)
            yield from sender.send()
            if _file_stamps(file_set) == before and sender.finish():
                return
    raise exception.DiskFailed(
        instance_id=uuid,
        reason='the disks changed during each of '
        f'{_MAX_ATTEMPTS} transfers; stop the process that writes to them',
    )


def check(
    uuid: str, transfer_ticket: TransferTicket, file_set: FileSet
) -> None:
    """Send the manifest alone; raises as ``send`` does."""
    with ReceiverClient(uuid, transfer_ticket) as client:
        _Sender(uuid, client, file_set).send_manifest()


def _file_stamps(file_set: FileSet) -> list[tuple[int, int]]:
    """Return size and mtime of each file."""
    paths = [*file_set.bases.values(), *file_set.files.values()]
    return [
        (found.st_size, found.st_mtime_ns) for found in map(os.stat, paths)
    ]


class _Sender:
    """One attempt."""

    def __init__(
        self, uuid: str, client: ReceiverClient, file_set: FileSet
    ) -> None:
        self._uuid = uuid
        self._client = client
        self._file_set = file_set
        self._sizes = {
            kind: {name: os.stat(path).st_size for name, path in paths.items()}
            for kind, paths in (
                ('bases', file_set.bases),
                ('files', {} if file_set.shared else file_set.files),
            )
        }
        self._total = sum(
            sum(sizes.values()) for sizes in self._sizes.values()
        )
        self._done = 0
        self._received = False

    def send_manifest(self) -> None:
        """Send the manifest; note whether all files arrived before."""
        manifest = Manifest(
            self._sizes['files'],
            self._sizes['bases'],
            self._file_set.overlays,
            self._file_set.shared,
        )
        self._received = self._client.send_manifest(manifest)

    def send(self) -> Iterator[TransferProgress]:
        """Send what is missing."""
        self.send_manifest()
        if self._received:
            yield TransferProgress(self._total, self._total)
            return
        yield TransferProgress(self._total, 0)
        for kind, paths in (
            ('bases', self._file_set.bases),
            ('files', self._file_set.files),
        ):
            for name in self._sizes[kind]:
                yield from self._send_file(f'{kind}/{name}', paths[name])

    def finish(self) -> bool:
        """Commit; return False when files must be compared again."""
        return self._received or not self._client.finish()

    def _send_file(self, path: str, source: str) -> Iterator[TransferProgress]:
        kind, _, name = path.partition('/')
        size = self._sizes[kind][name]
        with open(source, 'rb') as file:
            for first in range(0, blocks.count_blocks(size), MAX_DIGESTS):
                yield from self._send_blocks(path, file.fileno(), size, first)
                left = size - first * blocks.BLOCK_SIZE
                self._done += min(MAX_DIGESTS * blocks.BLOCK_SIZE, left)
                yield TransferProgress(self._total, self._done)

    def _send_blocks(
        self, path: str, file: int, size: int, first: int
    ) -> Iterator[TransferProgress]:
        """Send the blocks that differ and compare them again."""
        for _ in range(_MAX_ATTEMPTS):
            own = blocks.digests(file, size, first, MAX_DIGESTS)
            differ = self._client.compare(path, first, own)
            if not differ:
                return
            for number in differ:
                block = blocks.read_block(file, size, number)
                self._client.send_block(path, number, block)
                yield TransferProgress(
                    self._total,
                    self._done + (number - first) * blocks.BLOCK_SIZE,
                )
        if self._client.compare(
            path, first, blocks.digests(file, size, first, MAX_DIGESTS)
        ):
            raise exception.DiskFailed(
                instance_id=self._uuid,
                reason=f'{path} differed after {_MAX_ATTEMPTS} attempts to '
                'send it; the network damages data, or a process writes to '
                'the file',
            )


def list_files(folder: str) -> dict[str, str]:
    """Return the paths of the files in a directory by name.

    Names with a leading dot are incomplete files and are left out.
    """
    with contextlib.closing(os.scandir(folder)) as entries:
        return {
            entry.name: entry.path
            for entry in sorted(entries, key=lambda entry: entry.name)
            if not entry.name.startswith('.')
        }
