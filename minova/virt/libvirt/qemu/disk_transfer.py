# SPDX-License-Identifier: Apache-2.0
"""Disks that are handed over to hosts of other machines.

Below the directory of instances, at the destination::

    .UUID.HOST.coming/   what comes for a guest, see ``transfer.reception``
    .UUID.WORD.probe     a file by which the source sees whether it has the
                         same directory

Where it has, nothing is sent but a base that the destination lacks: the
source sets a copy of the disks aside and gives the others away. Otherwise all
files go through the transfer (``virt/transfer``), with what they stand on.
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
from minova.virt.driver import GuestSpec
from minova.virt.driver import Peer
from minova.virt.driver import TransferProgress
from minova.virt.libvirt.disks import DiskBackend
from minova.virt.libvirt.disks import remove_tree
from minova.virt.libvirt.disks import translate_os_errors
from minova.virt.libvirt.qemu import shared_storage
from minova.virt.libvirt.qemu.disk_ownership import OwnedDisks
from minova.virt.libvirt.qemu.disk_ownership import OWNER_FILE
from minova.virt.libvirt.qemu.disk_ownership import write_owner
from minova.virt.libvirt.qemu.overlay_checks import BaseImage
from minova.virt.libvirt.qemu.overlay_checks import ForeignBackingFile
from minova.virt.libvirt.qemu.overlay_checks import OverlayChecker
from minova.virt.transfer import certificate
from minova.virt.transfer import receiver
from minova.virt.transfer import sender
from minova.virt.transfer import socket
from minova.virt.transfer.client import require_endpoint
from minova.virt.transfer.receiver import Manifest
from minova.virt.transfer.receiver import RequestRejected
from minova.virt.transfer.server import TransferServer

LOG = logging.getLogger(__name__)


class TransferableDisks(OwnedDisks):
    """The disks of a host, and its end of transfers.

    ``overlays`` knows which disks stand on files of the image cache; None on
    a host whose disks all stand alone. It listens from when it is made until
    it is closed; ConfigInvalid when it cannot.
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
        """Receive no more; what has come stays."""
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
        """Require what was to come, and let nobody hand over any more."""
        folder = self.incoming_directory(uuid)
        with translate_os_errors(uuid):
            here = self.has_disks(uuid)
            if receiver.read_ticket(folder) is not None:
                here = here and receiver.is_received(folder)
            if not here:
                raise exception.DiskFailed(
                    instance_id=uuid,
                    reason=f'its disks did not arrive at {self.host}',
                )
            self._revoke_ticket(uuid)

    def remove_disks(self, uuid: str) -> None:
        """Remove the disks, but first let nothing come any more."""
        with translate_os_errors(uuid):
            self._revoke_ticket(uuid)
        super().remove_disks(uuid)

    def _revoke_ticket(self, uuid: str) -> None:
        """Forget who is invited, with what has come of what is not whole."""
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
                if name.startswith('.') and name.endswith(f'.{uuid}.coming'):
                    os.unlink(os.path.join(cache, name))

    # -- where what comes goes: ``reception.Place`` --------------------------

    def incoming_directory(self, uuid: str) -> str:
        """Return the directory of what comes for a guest."""
        return self._incoming_directory_at(uuid, self.host)

    def _incoming_directory_at(self, uuid: str, host: str) -> str:
        # Where several hosts see one directory two may have been chosen in
        # turn, and the first not have cleaned up.
        return os.path.join(self.directory, f'.{uuid}.{host}.coming')

    def base_path(self, name: str) -> str:
        """Return a path in the image cache."""
        if self._overlays is None:
            raise RequestRejected(
                400, f'no disk of {self.host} stands on another'
            )
        return os.path.join(self._overlays.cache, name)

    def partial_base_path(self, uuid: str, name: str) -> str:
        """Return a path beside it, that no image has."""
        return os.path.join(
            os.path.dirname(self.base_path(name)), f'.{name}.{uuid}.coming'
        )

    def commit(self, uuid: str, plan: Manifest) -> None:
        """Let what has come stand on the own bases, and be the guest's."""
        incoming = os.path.join(self.incoming_directory(uuid), 'files')
        folder = self.guest_directory(uuid) if plan.shared else incoming
        self._check_overlays(folder, plan)
        if plan.shared:
            return
        other = self.get_owner(uuid)
        if other not in (None, self.host):
            raise RequestRejected(
                409,
                f'{self.guest_directory(uuid)} has the disks, as those of {other}: '
                'both hosts see this directory, but the source has not found '
                'the probe in it',
            )
        write_owner(incoming, self.host)
        receiver.sync_directory(incoming)
        self._remove_directory(uuid, self.guest_directory(uuid))
        os.rename(incoming, self.guest_directory(uuid))
        receiver.sync_directory(self.directory)

    def _check_overlays(self, folder: str, plan: Manifest) -> None:
        if self._overlays is None:
            return
        for name in self._overlays.names:
            path = os.path.join(folder, name)
            if not os.path.exists(path):
                continue
            base = plan.overlays.get(name)
            try:
                self._overlays.check_base(path, base and BaseImage(*base))
            except ForeignBackingFile as error:
                raise RequestRejected(409, str(error)) from error

    # -- at the source -------------------------------------------------------

    def check_can_send_disks(
        self, uuid: str, dest: Peer, transfer_ticket: TransferTicket
    ) -> None:
        """See what would be sent, and ask the other host for room."""
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
        """Send the files, or give them where the directory is shared."""
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
        """Set a copy aside, then let the disks be the other host's."""
        if self.get_owner(uuid) == to.host and self.has_retained_disks(uuid):
            return
        self.retain_disks(uuid, copy=True)
        aside = os.path.join(self.directory, f'{uuid}_resize')
        file_set = self._list_file_set(aside, shared=True)
        if file_set.bases:
            yield from sender.send(uuid, transfer_ticket, file_set)
        LOG.info(
            'The disks of %s are given to %s, which has the same directory.',
            uuid,
            to.host,
        )
        # As when it had come through the transfer: then it has arrived.
        remove_tree(
            os.path.join(self._incoming_directory_at(uuid, to.host), 'files')
        )
        self.set_owner(uuid, to.host)
        yield TransferProgress(0, 0)

    def _list_file_set(
        self, folder: str, shared: bool = False
    ) -> sender.FileSet:
        """Return what a directory of disks comes to."""
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
