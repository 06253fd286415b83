# SPDX-License-Identifier: Apache-2.0
"""The disks of guests: files, in one directory a guest.

Below the directory of a host's instances::

    UUID/disk          the root disk: where it is, all disks are
    UUID/disk.ephemeral, UUID/disk.swap
    UUID/kernel, UUID/ramdisk  what is started instead of the root disk
    UUID/disk.config    the config drive, of guests that have one
    UUID/disk.rescue   what it starts from while it is rescued
    UUID/console.log   what the guest said on its first serial port
    UUID_resize/       the disks that are set aside for a way back
    .UUID.part/        a copy that is being made, or was when it was cut short
    .UUID.gone/        what is being removed
    .UUID.HOST.coming/ what comes to a host from another, see ``remote``

Each change is one rename: what has a final name is whole. What a crash leaves
under the other names is removed when the change is made again, or when the
disks are removed.
"""

from collections.abc import Callable
from collections.abc import Iterator
import contextlib
import os
import re
import shutil
import stat
from typing import Protocol

from minova import exception
from minova.virt import configdrive
from minova.virt.driver import GuestSpec
from minova.virt.host_contents import DiskArtifacts
from minova.virt.libvirt import xml
from minova.virt.libvirt.qcow2_header import read_backing_file
from minova.virt.libvirt.xml_devices import DirectKernelBoot
from minova.virt.transfer.blocks import extents

#: The names that are made here, and what they stand for.
_ARTIFACT_NAME = re.compile(
    r'\.?(?P<uuid>[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})'
    r'(?P<suffix>|_resize|\.part|\.gone|\..+\.coming)'
)
#: The disk by which a guest is told what it is, where there is one.
CONFIG_DRIVE = 'disk.config'
RESCUE_DISK = 'disk.rescue'
_GIB = 1 << 30
_MIB = 1 << 20
#: Bytes that are copied at a time.
_COPY_SIZE = 4 * _MIB


class DiskBackend(Protocol):
    """How disk files are made: what differs between kinds of hosts."""

    def format_of(self, name: str, spec: GuestSpec) -> str:
        """Return the format of a disk of that name, 'raw' or 'qcow2'."""

    def make(
        self,
        spec: GuestSpec,
        name: str,
        path: str,
        size: int,
        image: str | None,
    ) -> None:
        """Make a file that holds the disk ``name``, of ``size`` bytes.

        With ``image`` it begins with what that file holds, and is never
        smaller.
        """

    def grow(self, path: str, size: int) -> None:
        """Make a disk as large as ``size`` bytes, unless it is larger."""


class PlainFileBackend:
    """Disks that are sparse files with the image's data, taken as it is.

    They cost what was written to them, whatever size they have. Nobody looks
    into them: of a qcow2 image the file grows, not the disk it describes.
    """

    def format_of(self, name: str, spec: GuestSpec) -> str:
        """Trust the image service for what came from it, never the file.

        A guest could write anything to a raw disk, also the beginning of a
        qcow2 file that names files of the host.
        """
        images = {'disk': spec.image, RESCUE_DISK: spec.rescue or {}}
        if images.get(name, {}).get('disk_format') == 'qcow2':
            return 'qcow2'
        return 'raw'

    def make(
        self,
        spec: GuestSpec,
        name: str,
        path: str,
        size: int,
        image: str | None,
    ) -> None:
        """Copy the image's data, add nothing up to ``size``."""
        if image is None:
            with open(path, 'wb') as file:
                extend_file(file.fileno(), size)
                os.fsync(file.fileno())
        else:
            copy_sparse(image, path, size)

    def grow(self, path: str, size: int) -> None:
        """Add nothing up to ``size``."""
        with open(path, 'r+b') as file:
            extend_file(file.fileno(), size)
            os.fsync(file.fileno())


class Disks:
    """The disks of the guests of one host, below ``directory``."""

    def __init__(self, directory: str, backend: DiskBackend) -> None:
        self.directory = directory
        self._backend = backend
        os.makedirs(directory, exist_ok=True)

    # -- what a definition must know -----------------------------------------

    def list_disks(self, spec: GuestSpec) -> tuple[xml.Disk, ...]:
        """Return the disks that a guest has, the one it starts from first.

        That is the rescue disk of one that is rescued, else the root disk.
        """
        folder = self.guest_directory(spec.uuid)
        rescue = [] if spec.rescue is None else [RESCUE_DISK]
        names = [*rescue, *_disk_sizes(spec)]
        found = [
            xml.Disk(
                os.path.join(folder, name),
                self._backend.format_of(name, spec),
                f'vd{letter}',
            )
            for letter, name in zip('abcd', names, strict=False)
        ]
        if spec.config_drive is not None:
            # No CD-ROM drive: what a guest boots from it has a driver for,
            # and kernels for clouds leave the one of SATA out.
            path = os.path.join(folder, CONFIG_DRIVE)
            found.append(xml.Disk(path, 'raw', 'vdz', readonly=True))
        return tuple(found)

    def kernel_boot(self, spec: GuestSpec) -> DirectKernelBoot | None:
        """Return the kernel that a guest has beside its disks, if any."""
        requirements = xml.requirements_of(spec)
        if requirements.kernel_id is None:
            return None
        kernel, ramdisk = (
            os.path.join(self.guest_directory(spec.uuid), name)
            for name in ('kernel', 'ramdisk')
        )
        return DirectKernelBoot(
            kernel, ramdisk if requirements.ramdisk_id else None
        )

    def console_log(self, uuid: str) -> str:
        """Return the file that keeps what the guest says."""
        return os.path.join(self.guest_directory(uuid), 'console.log')

    def guest_directory(self, uuid: str) -> str:
        """Return the directory of a guest's disks."""
        return os.path.join(self.directory, uuid)

    def require_disks(self, uuid: str) -> None:
        """Raise DiskMissing unless the disks are here."""
        if not self.has_disks(uuid):
            raise exception.DiskMissing(
                instance_id=uuid,
                reason=f'its disks are not in {self.guest_directory(uuid)}',
            )

    def bytes_used(self, uuid: str) -> int:
        """Return the bytes that the disks take on the host's own disk."""
        with (
            translate_os_errors(uuid),
            os.scandir(self.guest_directory(uuid)) as files,
        ):
            # st_blocks counts 512 bytes, whatever the file system's are.
            return sum(file.stat().st_blocks * 512 for file in files)

    # -- the interface -------------------------------------------------------

    def create_disks(self, spec: GuestSpec, image: str | None) -> None:
        """Make what is missing, the root disk last."""
        with translate_os_errors(spec.uuid):
            self._create_missing(spec, image)

    def images_in_use(self) -> set[str]:
        """Return what the headers of all disks name, whoever's they are."""
        with translate_os_errors('(any)'):
            while True:
                try:
                    return self._all_backing_files()
                except FileNotFoundError:
                    # It was removed, or has another name now: begin again,
                    # as a disk that is left out may lose its image.
                    continue

    def _all_backing_files(self) -> set[str]:
        found = set()
        for name in filter(
            _ARTIFACT_NAME.fullmatch, os.listdir(self.directory)
        ):
            folder = os.path.join(self.directory, name)
            for file in os.listdir(folder):
                path = os.path.join(folder, file)
                # What is no file, as a socket, is no disk either.
                if stat.S_ISREG(os.stat(path).st_mode):
                    found.add(read_backing_file(path))
        return {path for path in found if path is not None}

    def has_disks(self, uuid: str) -> bool:
        """Tell whether the root disk is there."""
        return os.path.exists(self._root_disk(uuid))

    def grow_disks(self, spec: GuestSpec) -> None:
        """Make the disks larger, and those that the guest did not have."""
        self.require_disks(spec.uuid)
        with translate_os_errors(spec.uuid):
            self._create_missing(spec, None)
            folder = self.guest_directory(spec.uuid)
            for name, size in _disk_sizes(spec).items():
                self._backend.grow(os.path.join(folder, name), size)

    def create_rescue_disk(self, spec: GuestSpec, image: str | None) -> None:
        """Make it beside the others."""
        self.require_disks(spec.uuid)
        with translate_os_errors(spec.uuid):
            self._create_disk(spec, RESCUE_DISK, 0, image)

    def remove_rescue_disk(self, uuid: str) -> None:
        """Remove it, and what is left of one that was not made whole."""
        folder = self.guest_directory(uuid)
        with translate_os_errors(uuid):
            for name in (RESCUE_DISK, f'.{RESCUE_DISK}.part'):
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(os.path.join(folder, name))

    def remove_disks(self, uuid: str) -> None:
        """Remove the disks, and what is left of a copy of them."""
        with translate_os_errors(uuid):
            self._remove_directory(uuid, self.guest_directory(uuid))
            remove_tree(self._partial_directory(uuid))

    def retain_disks(self, uuid: str, copy: bool = False) -> None:
        """Rename the disks' directory, or copy it under the other name."""
        folder, retained = (
            self.guest_directory(uuid),
            self._retained_directory(uuid),
        )
        with translate_os_errors(uuid):
            if self.has_retained_disks(uuid):
                # From an earlier try; with a copy the own ones may be left.
                if not copy:
                    self._remove_directory(uuid, folder)
                return
            self.require_disks(uuid)
            if copy:
                os.rename(self._copy_directory(uuid, folder), retained)
            else:
                os.rename(folder, retained)

    def restore_disks(self, uuid: str) -> None:
        """Rename the directory back, in the place of what is there."""
        folder, retained = (
            self.guest_directory(uuid),
            self._retained_directory(uuid),
        )
        with translate_os_errors(uuid):
            if not self.has_retained_disks(uuid):
                self.require_disks(uuid)
                return
            self._remove_directory(uuid, folder)
            os.rename(retained, folder)

    def discard_disks(self, uuid: str) -> None:
        """Remove the directory that was set aside."""
        with translate_os_errors(uuid):
            self._remove_directory(uuid, self._retained_directory(uuid))

    def list_artifacts(self) -> dict[str, DiskArtifacts]:
        """Return what the directory holds, by the uuid that it is of.

        What has no uuid in its name is nobody's guest, and left out. Raises
        DiskFailed when the directory cannot be read.
        """
        found: dict[str, DiskArtifacts] = {}
        try:
            names = os.listdir(self.directory)
        except OSError as error:
            raise exception.DiskFailed(
                instance_id='(any)', reason=str(error)
            ) from error
        for name in names:
            match = _ARTIFACT_NAME.fullmatch(name)
            if match is None or not self.is_owned(name):
                continue
            uuid, suffix = match['uuid'], match['suffix']
            artifacts = found.setdefault(uuid, DiskArtifacts())
            if suffix == '_resize':
                artifacts.has_retained_disks = True
            elif suffix:
                artifacts.has_partial_disks = True
            else:
                folder = self.guest_directory(uuid)
                artifacts.has_disks = os.path.exists(self._root_disk(uuid))
                artifacts.has_partial_disks |= not artifacts.has_disks
                artifacts.has_config_drive = os.path.exists(
                    os.path.join(folder, CONFIG_DRIVE)
                )
        return found

    def has_retained_disks(self, uuid: str) -> bool:
        """Tell whether that directory is there."""
        return os.path.isdir(self._retained_directory(uuid))

    def create_auxiliary_files(self, spec: GuestSpec) -> None:
        """Make what is missing of what is read beside the disks.

        It is made from what is known of the guest alone, so a host that
        receives the guest makes its own.
        """
        folder = self.guest_directory(spec.uuid)
        if spec.config_drive is not None:
            write_config_drive(folder, lambda: configdrive.build_image(spec))
        for name, source in (
            ('kernel', spec.kernel),
            ('ramdisk', spec.ramdisk),
        ):
            path = os.path.join(folder, name)
            if source is not None and not os.path.exists(path):
                part = os.path.join(folder, f'.{name}.part')
                copy_sparse(source, part)
                os.rename(part, path)

    def is_owned(self, name: str) -> bool:
        """Tell whether a name in the directory stands for this host's.

        Here all do. Where other hosts see the same directory, theirs do not.
        """
        return True

    # -- from another host of the machine ------------------------------------

    def copy_from(self, uuid: str, folder: str) -> None:
        """Copy the disks in ``folder``, in the place of what is here."""
        with translate_os_errors(uuid):
            part = self._copy_directory(uuid, folder)
            self._remove_directory(uuid, self.guest_directory(uuid))
            os.rename(part, self.guest_directory(uuid))

    # -- how -----------------------------------------------------------------

    def _create_missing(self, spec: GuestSpec, image: str | None) -> None:
        os.makedirs(self.guest_directory(spec.uuid), exist_ok=True)
        self.create_auxiliary_files(spec)
        for name, size in reversed(_disk_sizes(spec).items()):
            self._create_disk(
                spec, name, size, image if name == 'disk' else None
            )

    def _create_disk(
        self, spec: GuestSpec, name: str, size: int, image: str | None
    ) -> None:
        """Make a disk unless it is there."""
        path = os.path.join(self.guest_directory(spec.uuid), name)
        if os.path.exists(path):
            return
        part = os.path.join(self.guest_directory(spec.uuid), f'.{name}.part')
        self._backend.make(spec, name, part, size, image)
        os.rename(part, path)

    def _copy_directory(self, uuid: str, folder: str) -> str:
        """Return a copy of a directory of disks, without a final name."""
        part = self._partial_directory(uuid)
        remove_tree(part)
        os.mkdir(part)
        for name in sorted(os.listdir(folder)):
            if not name.startswith('.'):
                copy_sparse(
                    os.path.join(folder, name), os.path.join(part, name)
                )
        return part

    def _remove_directory(self, uuid: str, folder: str) -> None:
        """Remove a directory such that no half of it keeps its name."""
        if not self.is_owned(os.path.basename(folder)):
            return
        gone = os.path.join(self.directory, f'.{uuid}.gone')
        remove_tree(gone)
        with contextlib.suppress(FileNotFoundError):
            os.rename(folder, gone)
            remove_tree(gone)

    def _root_disk(self, uuid: str) -> str:
        return os.path.join(self.guest_directory(uuid), 'disk')

    def _retained_directory(self, uuid: str) -> str:
        return os.path.join(self.directory, f'{uuid}_resize')

    def _partial_directory(self, uuid: str) -> str:
        return os.path.join(self.directory, f'.{uuid}.part')


def _disk_sizes(spec: GuestSpec) -> dict[str, int]:
    """Return the bytes of each disk, by name, the root one first."""
    sizes = {
        'disk': spec.root_gb * _GIB,
        'disk.ephemeral': spec.ephemeral_gb * _GIB,
        'disk.swap': spec.swap_mb * _MIB,
    }
    return {
        name: size for name, size in sizes.items() if size or name == 'disk'
    }


def write_config_drive(folder: str, content: Callable[[], bytes]) -> None:
    """Write the config drive that is missing; one that is there stays."""
    path = os.path.join(folder, CONFIG_DRIVE)
    if os.path.exists(path):
        return
    part = os.path.join(folder, f'.{CONFIG_DRIVE}.part')
    with open(part, 'wb') as file:
        file.write(content())
        file.flush()
        os.fsync(file.fileno())
    os.rename(part, path)


@contextlib.contextmanager
def translate_os_errors(uuid: str) -> Iterator[None]:
    """Raise what the system refuses as an error of the guest's disks."""
    try:
        yield
    except OSError as error:
        raise exception.DiskFailed(
            instance_id=uuid, reason=str(error)
        ) from error


def remove_tree(folder: str) -> None:
    """Remove a directory; nothing when there is none."""
    with contextlib.suppress(FileNotFoundError):
        shutil.rmtree(folder)


# -- files -------------------------------------------------------------------


def copy_sparse(source: str, path: str, size: int = 0) -> None:
    """Copy a file, its holes as holes, and make it as large as ``size``.

    It is on the disk, not only in memory, when this returns. What was at
    ``path`` is overwritten.
    """
    with open(source, 'rb') as old, open(path, 'wb') as new:
        before, after = old.fileno(), new.fileno()
        length = os.fstat(before).st_size
        for start, end in extents(before, length):
            _copy_extent(before, after, start, end)
        os.ftruncate(after, max(length, size))
        os.fsync(after)


def _copy_extent(before: int, after: int, start: int, end: int) -> None:
    os.lseek(after, start, os.SEEK_SET)
    while start < end:
        piece = os.pread(before, min(_COPY_SIZE, end - start), start)
        if not piece:
            # It became shorter while it was read.
            return
        start += os.write(after, piece)


def extend_file(file: int, size: int) -> None:
    """Make an open file at least as large as ``size`` bytes."""
    if os.fstat(file).st_size < size:
        os.ftruncate(file, size)
