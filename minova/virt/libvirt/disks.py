# SPDX-License-Identifier: Apache-2.0
"""The disks of guests: files, in one directory per guest.

Below the directory of instances of a host::

    UUID/disk                   the root disk, created last
    UUID/disk.ephemeral, UUID/disk.swap
    UUID/kernel, UUID/ramdisk   for a guest that boots a kernel directly
    UUID/disk.config            the config drive
    UUID/disk.rescue            the boot disk of a rescued guest
    UUID/console.log            the output of the first serial port
    UUID_resize/                disks that are retained for a revert
    .UUID.part/                 an unfinished copy
    .UUID.deleting/             a directory that is being removed
    .UUID.snapshots/            copies for images, see ``snapshot_files``
    .UUID.HOST.incoming/        disks that another host sends, see
                                ``qemu.disk_transfer``

Each change is one rename, so a file or directory with a final name is
complete. A crash leaves the other names; the repeated change or the removal of
the disks cleans them up.
"""

from collections.abc import Callable
from collections.abc import Iterator
import contextlib
import os
import re
import stat
from typing import Protocol

from minova import exception
from minova.virt import configdrive
from minova.virt.driver import GuestSpec
from minova.virt.host_contents import DiskArtifacts
from minova.virt.libvirt import xml
from minova.virt.libvirt.qcow2_header import read_backing_file
from minova.virt.libvirt.sparse_files import copy_sparse
from minova.virt.libvirt.sparse_files import remove_tree
from minova.virt.libvirt.xml_devices import DirectKernelBoot

#: The names of the directories: uuid of the guest, kind of directory.
_ARTIFACT_NAME = re.compile(
    r'\.?(?P<uuid>[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})'
    r'(?P<suffix>|_resize|\.part|\.deleting|\.snapshots|\..+\.incoming)'
)
#: The file of the config drive.
CONFIG_DRIVE = 'disk.config'
RESCUE_DISK = 'disk.rescue'
EPHEMERAL_DISK = 'disk.ephemeral'
_GIB = 1 << 30
_MIB = 1 << 20


class DiskBackend(Protocol):
    """How one kind of host creates disk files."""

    def format_of(self, name: str, spec: GuestSpec) -> str:
        """Return the format of the disk ``name``: raw or qcow2."""

    def make(
        self,
        spec: GuestSpec,
        name: str,
        path: str,
        size: int,
        image: str | None,
    ) -> None:
        """Create the file of the disk ``name`` with ``size`` bytes.

        With ``image`` the disk starts with the data of that file and is never
        smaller than it.
        """

    def grow(self, path: str, size: int) -> None:
        """Grow a disk to ``size`` bytes unless it is larger."""


class Disks:
    """The disks of the guests of one host, below ``directory``."""

    def __init__(self, directory: str, backend: DiskBackend) -> None:
        self.directory = directory
        self._backend = backend
        os.makedirs(directory, exist_ok=True)

    # -- for the definition of a guest ---------------------------------------

    def list_disks(self, spec: GuestSpec) -> tuple[xml.Disk, ...]:
        """Return the disks of a guest, the boot disk first.

        A rescued guest boots the rescue disk, any other guest its root disk.
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
            # A disk, not a CD-ROM drive: the guest has a driver for its boot
            # disk; kernels of cloud images often lack the one for SATA.
            path = os.path.join(folder, CONFIG_DRIVE)
            found.append(xml.Disk(path, 'raw', 'vdz', readonly=True))
        return tuple(found)

    def kernel_boot(self, spec: GuestSpec) -> DirectKernelBoot | None:
        """Return the kernel that the guest boots directly, if any."""
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
        """Return the path of the log of the first serial port."""
        return os.path.join(self.guest_directory(uuid), 'console.log')

    def guest_directory(self, uuid: str) -> str:
        """Return the directory of a guest's disks."""
        return os.path.join(self.directory, uuid)

    def require_disks(self, uuid: str) -> None:
        """Raise DiskMissing unless the disks exist."""
        if not self.has_disks(uuid):
            raise exception.DiskMissing(
                instance_id=uuid,
                reason=f'the disks are not in {self.guest_directory(uuid)}',
            )

    def bytes_used(self, uuid: str) -> int:
        """Return the bytes that the disks occupy on the host."""
        with (
            translate_os_errors(uuid),
            os.scandir(self.guest_directory(uuid)) as files,
        ):
            # st_blocks counts units of 512 bytes on every file system.
            return sum(file.stat().st_blocks * 512 for file in files)

    # -- the interface -------------------------------------------------------

    def create_disks(
        self,
        spec: GuestSpec,
        image: str | None,
        reuse_ephemeral: bool = False,
    ) -> None:
        """Create the missing disks, the root disk last."""
        with translate_os_errors(spec.uuid):
            if reuse_ephemeral:
                self._link_retained(spec.uuid, EPHEMERAL_DISK)
            self._create_missing(spec, image)

    def refresh_config_drive(self, spec: GuestSpec) -> None:
        """Build the drive, and replace the file if it differs."""
        if spec.config_drive is None:
            return
        with translate_os_errors(spec.uuid):
            self.require_disks(spec.uuid)
            replace_config_drive(
                self.guest_directory(spec.uuid), configdrive.build_image(spec)
            )

    def images_in_use(self) -> set[str]:
        """Return the backing files of all disks in the directory."""
        with translate_os_errors('(any)'):
            while True:
                try:
                    return self._all_backing_files()
                except FileNotFoundError:
                    # A disk was removed or renamed meanwhile. Start over:
                    # an image whose disk is missed could be deleted.
                    continue

    def _all_backing_files(self) -> set[str]:
        found = set()
        for name in filter(
            _ARTIFACT_NAME.fullmatch, os.listdir(self.directory)
        ):
            folder = os.path.join(self.directory, name)
            for file in os.listdir(folder):
                path = os.path.join(folder, file)
                # Sockets and directories are no disks.
                if stat.S_ISREG(os.stat(path).st_mode):
                    found.add(read_backing_file(path))
        return {path for path in found if path is not None}

    def has_disks(self, uuid: str) -> bool:
        """Return whether the root disk exists."""
        return os.path.exists(self._root_disk(uuid))

    def grow_disks(self, spec: GuestSpec) -> None:
        """Grow the disks and create those that are new in the flavor."""
        self.require_disks(spec.uuid)
        with translate_os_errors(spec.uuid):
            self._create_missing(spec, None)
            folder = self.guest_directory(spec.uuid)
            for name, size in _disk_sizes(spec).items():
                self._backend.grow(os.path.join(folder, name), size)

    def create_rescue_disk(self, spec: GuestSpec, image: str | None) -> None:
        """Create the rescue disk beside the other disks."""
        self.require_disks(spec.uuid)
        with translate_os_errors(spec.uuid):
            self._create_disk(spec, RESCUE_DISK, 0, image)

    def remove_rescue_disk(self, uuid: str) -> None:
        """Remove the rescue disk and an unfinished one."""
        folder = self.guest_directory(uuid)
        with translate_os_errors(uuid):
            for name in (RESCUE_DISK, f'.{RESCUE_DISK}.part'):
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(os.path.join(folder, name))

    def remove_disks(self, uuid: str) -> None:
        """Remove the disks and an unfinished copy of them."""
        with translate_os_errors(uuid):
            self._remove_directory(uuid, self.guest_directory(uuid))
            remove_tree(self._partial_directory(uuid))
            self.remove_snapshots(uuid)

    def retain_disks(self, uuid: str, copy: bool = False) -> None:
        """Rename the directory, or copy it under the other name."""
        folder, retained = (
            self.guest_directory(uuid),
            self._retained_directory(uuid),
        )
        with translate_os_errors(uuid):
            if self.has_retained_disks(uuid):
                # Retained by an earlier call, which a crash interrupted. After
                # a copy the guest's own directory can still exist.
                if not copy:
                    self._remove_directory(uuid, folder)
                return
            self.require_disks(uuid)
            if copy:
                os.rename(self._copy_directory(uuid, folder), retained)
            else:
                os.rename(folder, retained)

    def restore_disks(self, uuid: str) -> None:
        """Rename the retained directory back, replacing the current one."""
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
        """Remove the retained directory."""
        with translate_os_errors(uuid):
            self._remove_directory(uuid, self._retained_directory(uuid))

    def list_artifacts(self) -> dict[str, DiskArtifacts]:
        """Return the contents of the directory by the uuid of the guest.

        Names without a uuid are ignored. Raises DiskFailed when the directory
        cannot be read.
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
            elif suffix == '.snapshots':
                artifacts.has_snapshots = True
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
        """Return whether the retained directory exists."""
        return os.path.isdir(self._retained_directory(uuid))

    def has_shared_disks(self, uuid: str) -> bool:
        """Return False: every disk in the directory belongs to this host."""
        return False

    def set_disk_owner(self, uuid: str, host: str) -> None:
        """Refuse another owner than this host, which owns every disk."""
        if not self.has_disks(uuid):
            raise exception.DiskMissing(
                instance_id=uuid,
                reason=f'the disks are not in {self.guest_directory(uuid)}',
            )

    def create_auxiliary_files(self, spec: GuestSpec) -> None:
        """Create the missing config drive, kernel and ramdisk.

        Their content depends on ``spec`` alone, so the destination of a
        migration creates its own.
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

    # -- snapshots -----------------------------------------------------------

    def root_disk(self, uuid: str) -> str:
        """Return the path of the root disk."""
        return self._root_disk(uuid)

    def snapshot_directory(self, uuid: str) -> str:
        """Return the directory of the snapshots of a guest."""
        return os.path.join(self.directory, f'.{uuid}.snapshots')

    def prepare_snapshot_directory(self, uuid: str) -> str:
        """Create the directory of the snapshots of a guest; return it."""
        folder = self.snapshot_directory(uuid)
        os.makedirs(folder, exist_ok=True)
        return folder

    def remove_snapshots(self, uuid: str) -> None:
        """Remove the directory of the snapshots of a guest."""
        folder = self.snapshot_directory(uuid)
        if self.is_owned(os.path.basename(folder)):
            remove_tree(folder)

    def is_owned(self, name: str) -> bool:
        """Return whether a name in the directory belongs to this host.

        Here every name does. In a directory that several hosts share, the
        names of the other hosts do not; see ``qemu.disk_ownership``.
        """
        return True

    # -- how -----------------------------------------------------------------

    def _create_missing(self, spec: GuestSpec, image: str | None) -> None:
        os.makedirs(self.guest_directory(spec.uuid), exist_ok=True)
        self.create_auxiliary_files(spec)
        for name, size in reversed(_disk_sizes(spec).items()):
            self._create_disk(
                spec, name, size, image if name == 'disk' else None
            )

    def _link_retained(self, uuid: str, name: str) -> None:
        """Give the guest a retained disk: one file with two names.

        The removal of either directory leaves the file in the other.
        """
        folder = self.guest_directory(uuid)
        os.makedirs(folder, exist_ok=True)
        # No disk of that name is retained, or a repeated call.
        with contextlib.suppress(FileNotFoundError, FileExistsError):
            os.link(
                os.path.join(self._retained_directory(uuid), name),
                os.path.join(folder, name),
            )

    def _create_disk(
        self, spec: GuestSpec, name: str, size: int, image: str | None
    ) -> None:
        """Create a disk unless it exists."""
        path = os.path.join(self.guest_directory(spec.uuid), name)
        if os.path.exists(path):
            return
        part = os.path.join(self.guest_directory(spec.uuid), f'.{name}.part')
        self._backend.make(spec, name, part, size, image)
        os.rename(part, path)

    def _copy_directory(self, uuid: str, folder: str) -> str:
        """Copy a directory of disks; return the temporary name."""
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
        """Remove a directory; a partly removed one loses its name first."""
        if not self.is_owned(os.path.basename(folder)):
            return
        deleting = os.path.join(self.directory, f'.{uuid}.deleting')
        remove_tree(deleting)
        with contextlib.suppress(FileNotFoundError):
            os.rename(folder, deleting)
            remove_tree(deleting)

    def _root_disk(self, uuid: str) -> str:
        return os.path.join(self.guest_directory(uuid), 'disk')

    def _retained_directory(self, uuid: str) -> str:
        return os.path.join(self.directory, f'{uuid}_resize')

    def _partial_directory(self, uuid: str) -> str:
        return os.path.join(self.directory, f'.{uuid}.part')


def _disk_sizes(spec: GuestSpec) -> dict[str, int]:
    """Return the size of each disk in bytes by name, root disk first."""
    sizes = {
        'disk': spec.root_gb * _GIB,
        EPHEMERAL_DISK: spec.ephemeral_gb * _GIB,
        'disk.swap': spec.swap_mb * _MIB,
    }
    return {
        name: size for name, size in sizes.items() if size or name == 'disk'
    }


def write_config_drive(folder: str, content: Callable[[], bytes]) -> None:
    """Write the config drive unless it exists."""
    if not os.path.exists(os.path.join(folder, CONFIG_DRIVE)):
        _write_config_drive(folder, content())


def replace_config_drive(folder: str, content: bytes) -> None:
    """Write the config drive unless it has this content."""
    try:
        with open(os.path.join(folder, CONFIG_DRIVE), 'rb') as file:
            is_current = file.read() == content
    except FileNotFoundError:
        is_current = False
    if not is_current:
        _write_config_drive(folder, content)


def _write_config_drive(folder: str, content: bytes) -> None:
    part = os.path.join(folder, f'.{CONFIG_DRIVE}.part')
    with open(part, 'wb') as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    os.rename(part, os.path.join(folder, CONFIG_DRIVE))


@contextlib.contextmanager
def translate_os_errors(uuid: str) -> Iterator[None]:
    """Raise OSError as DiskFailed."""
    try:
        yield
    except OSError as error:
        raise exception.DiskFailed(
            instance_id=uuid, reason=str(error)
        ) from error


# -- files -------------------------------------------------------------------
