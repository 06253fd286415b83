# SPDX-License-Identifier: Apache-2.0
"""The transfer of disks to a QEMU host on another machine.

Below the directory of instances, at the destination::

    .UUID.HOST.incoming/  the files of a guest, see ``transfer.receiver``
    .UUID.TOKEN.probe     the probe of ``shared_storage``

With shared storage the source sends only a base that the destination lacks: it
retains a copy of the disks and makes the destination their owner. Without it
all files and their bases go through ``virt.transfer``.
"""

from collections.abc import Iterator
import contextlib
import os
import secrets

from oslo_log import log as logging

from minova import exception
from minova.conf import CONF
from minova.objects.live_migrate_data import StorageProbe
from minova.objects.transfer_ticket import TransferEndpoint
from minova.objects.transfer_ticket import TransferTicket
from minova.serving import certificate
from minova.virt.driver import GuestSpec
from minova.virt.driver import Peer
from minova.virt.driver import TransferProgress
from minova.virt.libvirt.disks import DiskBackend
from minova.virt.libvirt.disks import translate_os_errors
from minova.virt.libvirt.qemu import shared_storage
from minova.virt.libvirt.qemu.disk_ownership import OwnedDisks
from minova.virt.libvirt.qemu.disk_ownership import OWNER_FILE
from minova.virt.libvirt.qemu.disk_ownership import write_owner
from minova.virt.libvirt.qemu.overlay_checks import BaseImage
from minova.virt.libvirt.qemu.overlay_checks import check_base_file
from minova.virt.libvirt.qemu.overlay_checks import check_header
from minova.virt.libvirt.qemu.overlay_checks import ForeignBackingFile
from minova.virt.libvirt.qemu.overlay_checks import OverlayChecker
from minova.virt.libvirt.qemu.overlay_checks import UnsafeHeader
from minova.virt.libvirt.sparse_files import remove_tree
from minova.virt.transfer import receiver
from minova.virt.transfer import sender
from minova.virt.transfer import socket
from minova.virt.transfer.client import require_endpoint
from minova.virt.transfer.receiver import Manifest
from minova.virt.transfer.receiver import RequestRejected
from minova.virt.transfer.server import TransferServer

LOG = logging.getLogger(__name__)


class TransferableDisks(OwnedDisks):
    """The disks of a host, and its server for transfers.

    ``overlays`` knows which disks are overlays of images in the cache; None
    on a host without overlays. The server listens until ``close``;
    ConfigInvalid when it cannot listen.
    """

    def __init__(
        self,
        directory: str,
        backend: DiskBackend,
        host: str,
        overlays: OverlayChecker | None = None,
    ) -> None:
        super().__init__(directory, backend, host)
        self._overlays = overlays
        kept = os.path.join(CONF.state_path, f'transfer-{host}')
        self._fingerprint = certificate.ensure_certificate(f'{kept}.pem', host)
        self._server = TransferServer(
            self,
            socket.open_socket(f'{kept}.port'),
            certificate.server_context(f'{kept}.pem'),
        )
        self._server.start()

    def close(self) -> None:
        """Stop the server; received files stay."""
        self._server.stop()

    # -- at the destination --------------------------------------------------

    def prepare_disk_transfer(self, spec: GuestSpec) -> TransferTicket:
        """Issue a ticket; the same one for the same operation.

        Address, port and fingerprint are always those of the running server.
        """
        uuid, folder = spec.uuid, self.incoming_directory(spec.uuid)
        with translate_os_errors(uuid):
            ticket = receiver.read_ticket(folder)
            if ticket is None or ticket.operation != spec.operation:
                self._revoke_ticket(uuid)
                ticket = TransferTicket(
                    host=self.host,
                    operation=spec.operation,
                    token=secrets.token_urlsafe(32),
                    endpoint=self._new_endpoint(uuid),
                )
                os.makedirs(folder, mode=0o700, exist_ok=True)
                write_owner(folder, self.host)
                receiver.write_ticket(folder, ticket)
            endpoint = require_endpoint(uuid, ticket)
            shared_storage.write_probe(self.directory, endpoint.probe)
        current = self._new_endpoint(uuid).replace(probe=endpoint.probe)
        return ticket.replace(endpoint=current)

    def _new_endpoint(self, uuid: str) -> TransferEndpoint:
        """Return the endpoint of the running server with a new probe."""
        return TransferEndpoint(
            address=CONF.compute.transfer_address,
            port=self._server.port,
            fingerprint=self._fingerprint,
            probe=StorageProbe(
                name=f'.{uuid}.{secrets.token_hex(16)}.probe',
                token=secrets.token_hex(16),
            ),
        )

    def commit_received_disks(self, uuid: str) -> None:
        """Require the disks; revoke the ticket."""
        folder = self.incoming_directory(uuid)
        with translate_os_errors(uuid):
            here = self.has_disks(uuid)
            if receiver.read_ticket(folder) is not None:
                here = here and receiver.is_received(folder)
            if not here:
                raise exception.DiskFailed(
                    instance_id=uuid,
                    reason=f'the disks did not arrive on {self.host}',
                )
            self._check_headers(uuid)
            self._revoke_ticket(uuid)

    def _check_headers(self, uuid: str) -> None:
        """Raise UnsafeHeader unless QEMU can open the disks safely.

        The commit of a transfer has checked them, unless they are on shared
        storage.
        """
        for name in self._overlays.names if self._overlays else ():
            path = os.path.join(self.guest_directory(uuid), name)
            if os.path.exists(path):
                check_header(path, may_have_backing_file=True)

    def remove_disks(self, uuid: str) -> None:
        """Revoke the ticket, then remove the disks."""
        with translate_os_errors(uuid):
            self._revoke_ticket(uuid)
        super().remove_disks(uuid)

    def _revoke_ticket(self, uuid: str) -> None:
        """Remove the ticket, its probe and incomplete files."""
        folder = self.incoming_directory(uuid)
        ticket = receiver.read_ticket(folder)
        if ticket is not None and ticket.endpoint is not None:
            shared_storage.remove_probe(self.directory, ticket.endpoint.probe)
        if self._overlays is not None:
            self._remove_base_parts(self._overlays.cache, uuid)
        self._remove_directory(uuid, folder)

    @staticmethod
    def _remove_base_parts(cache: str, uuid: str) -> None:
        with contextlib.suppress(FileNotFoundError):
            for name in os.listdir(cache):
                if name.startswith('.') and name.endswith(f'.{uuid}.incoming'):
                    os.unlink(os.path.join(cache, name))

    # -- transfer.receiver.ReceiverStorage -----------------------------------

    def incoming_directory(self, uuid: str) -> str:
        """Return the directory of incoming files of a guest."""
        return self._incoming_directory_at(uuid, self.host)

    def _incoming_directory_at(self, uuid: str, host: str) -> str:
        # On shared storage an earlier destination may not have cleaned up.
        return os.path.join(self.directory, f'.{uuid}.{host}.incoming')

    def base_path(self, name: str) -> str:
        """Return a path in the image cache."""
        if self._overlays is None:
            raise RequestRejected(
                400, f'{self.host} has no image cache for bases'
            )
        return os.path.join(self._overlays.cache, name)

    def partial_base_path(self, uuid: str, name: str) -> str:
        """Return the path of an incomplete base beside the images."""
        return os.path.join(
            os.path.dirname(self.base_path(name)), f'.{name}.{uuid}.incoming'
        )

    def check_base(self, path: str, base_format: str) -> None:
        """Check the header of a received base."""
        try:
            check_base_file(path, base_format)
        except UnsafeHeader as error:
            raise RequestRejected(409, str(error)) from error

    def commit(self, uuid: str, manifest: Manifest) -> None:
        """Check the overlays; make the incoming files the disks."""
        incoming = os.path.join(self.incoming_directory(uuid), 'files')
        folder = self.guest_directory(uuid) if manifest.shared else incoming
        self._check_overlays(folder, manifest)
        if manifest.shared:
            return
        other = self.get_owner(uuid)
        if other not in (None, self.host):
            raise RequestRejected(
                409,
                f'the disks in {self.guest_directory(uuid)} belong to '
                f'{other}: both hosts share storage, but the source did not '
                'find the probe',
            )
        write_owner(incoming, self.host)
        receiver.sync_directory(incoming)
        self._remove_directory(uuid, self.guest_directory(uuid))
        os.rename(incoming, self.guest_directory(uuid))
        receiver.sync_directory(self.directory)

    def _check_overlays(self, folder: str, manifest: Manifest) -> None:
        if self._overlays is None:
            return
        for name in self._overlays.names:
            path = os.path.join(folder, name)
            if not os.path.exists(path):
                continue
            base = manifest.overlays.get(name)
            try:
                self._overlays.check_base(path, base and BaseImage(*base))
            except (ForeignBackingFile, UnsafeHeader) as error:
                raise RequestRejected(409, str(error)) from error

    # -- at the source -------------------------------------------------------

    def check_can_send_disks(
        self, uuid: str, dest: Peer, transfer_ticket: TransferTicket
    ) -> None:
        """Send the manifest alone; the destination checks it."""
        endpoint = require_endpoint(uuid, transfer_ticket)
        with translate_os_errors(uuid):
            if self.has_retained_disks(uuid):
                return
            self.require_disks(uuid)
            shared = shared_storage.has_probe(self.directory, endpoint.probe)
            file_set = self._list_file_set(self.guest_directory(uuid), shared)
            if file_set.bases or not shared:
                sender.check(uuid, transfer_ticket, file_set)

    def send_disks(
        self, uuid: str, dest: Peer, transfer_ticket: TransferTicket
    ) -> Iterator[TransferProgress]:
        """Send the files, or change their owner on shared storage."""
        endpoint = require_endpoint(uuid, transfer_ticket)
        with translate_os_errors(uuid):
            if shared_storage.has_probe(self.directory, endpoint.probe):
                yield from self._transfer_ownership(
                    uuid, dest, transfer_ticket
                )
            elif not self.has_retained_disks(uuid):
                self.require_disks(uuid)
                file_set = self._list_file_set(self.guest_directory(uuid))
                yield from sender.send(uuid, transfer_ticket, file_set)

    def _transfer_ownership(
        self, uuid: str, to: Peer, transfer_ticket: TransferTicket
    ) -> Iterator[TransferProgress]:
        """Retain a copy, then make the destination the owner."""
        if self.get_owner(uuid) == to.host and self.has_retained_disks(uuid):
            return
        self.retain_disks(uuid, copy=True)
        retained = os.path.join(self.directory, f'{uuid}_resize')
        file_set = self._list_file_set(retained, shared=True)
        if file_set.bases:
            yield from sender.send(uuid, transfer_ticket, file_set)
        LOG.debug(
            'Instance %s: disks now belong to %s, on shared storage',
            uuid,
            to.host,
        )
        # The missing directory marks the transfer as complete, as after a
        # transfer over the network.
        remove_tree(
            os.path.join(self._incoming_directory_at(uuid, to.host), 'files')
        )
        self.set_owner(uuid, to.host)
        yield TransferProgress(0, 0)

    def _list_file_set(
        self, folder: str, shared: bool = False
    ) -> sender.FileSet:
        """Return the files of a directory of disks and their bases."""
        files = sender.list_files(folder)
        files.pop(OWNER_FILE, None)
        bases, overlays = {}, {}
        for name in self._overlays.names if self._overlays else ():
            if name in files and self._overlays:
                base = self._overlays.find_base(files[name])
                if base is not None:
                    bases[base.name] = self.base_path(base.name)
                    overlays[name] = (base.name, base.format)
        return sender.FileSet(files, bases, overlays, shared)
