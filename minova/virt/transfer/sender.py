# SPDX-License-Identifier: Apache-2.0
"""The source's procedure: say what comes, compare, send what differs.

It is told in steps, each of a moment, so that whoever asks for it can stop
between two of them. It begins anew at any time: what is there is not sent
again.
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

#: How often what differs, or has changed, is sent anew before it is given up.
_MAX_ATTEMPTS = 3


@dataclasses.dataclass(frozen=True)
class FileSet:
    """What is handed over: paths, by name, and what stands on what."""

    files: dict[str, str]
    bases: dict[str, str]
    overlays: dict[str, tuple[str, str]]
    shared: bool = False


def send(
    uuid: str, transfer_ticket: TransferTicket, file_set: FileSet
) -> Iterator[TransferProgress]:
    """Hand over; the last step ends when the destination has it all, whole.

    Raises DiskTransferInterrupted when the destination does not answer and
    DiskFailed when it cannot be done; OSError of the own files.
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
        reason='its disks have changed each time while they were handed over; '
        'something else uses them',
    )


def check(
    uuid: str, transfer_ticket: TransferTicket, file_set: FileSet
) -> None:
    """Tell the destination what will come; raises what ``send`` would."""
    with ReceiverClient(uuid, transfer_ticket) as client:
        _Sender(uuid, client, file_set).send_manifest()


def _file_stamps(file_set: FileSet) -> list[tuple[int, int]]:
    """Return what changes when a file does."""
    paths = [*file_set.bases.values(), *file_set.files.values()]
    return [
        (found.st_size, found.st_mtime_ns) for found in map(os.stat, paths)
    ]


class _Sender:
    """One go at it."""

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
        """Tell what will come, and learn whether it has arrived before."""
        manifest = Manifest(
            self._sizes['files'],
            self._sizes['bases'],
            self._file_set.overlays,
            self._file_set.shared,
        )
        self._received = self._client.send_manifest(manifest.as_dict())

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
        """Have it named; False when something must be compared again."""
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
        """Send of so many blocks those that differ, and see them arrive."""
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
                reason=f'{path} has arrived damaged {_MAX_ATTEMPTS} times, or is '
                'changed while it is sent',
            )


def list_files(folder: str) -> dict[str, str]:
    """Return the paths of what may be handed over of a directory, by name.

    What begins with a dot is half done and stays.
    """
    with contextlib.closing(os.scandir(folder)) as entries:
        return {
            entry.name: entry.path
            for entry in sorted(entries, key=lambda entry: entry.name)
            if not entry.name.startswith('.')
        }
