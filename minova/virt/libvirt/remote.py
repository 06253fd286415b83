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
from typing import Any

from oslo_log import log as logging

from minova import exception
from minova.conf import CONF
from minova.virt.driver import Peer
from minova.virt.driver import Progress
from minova.virt.driver import Spec
from minova.virt.libvirt import sharing
from minova.virt.libvirt.disks import failures
from minova.virt.libvirt.disks import Kind
from minova.virt.libvirt.disks import remove_tree
from minova.virt.libvirt.overlays import Base
from minova.virt.libvirt.overlays import NotOurs
from minova.virt.libvirt.overlays import Overlays
from minova.virt.libvirt.owned import OwnedDisks
from minova.virt.libvirt.owned import OWNER
from minova.virt.libvirt.owned import write_owner
from minova.virt.transfer import certificate
from minova.virt.transfer import listening
from minova.virt.transfer import reception
from minova.virt.transfer import sending
from minova.virt.transfer.reception import Plan
from minova.virt.transfer.reception import Refusal
from minova.virt.transfer.server import TransferServer

LOG = logging.getLogger(__name__)


class RemoteDisks(OwnedDisks):
    """The disks of a host, and its end of transfers.

    ``overlays`` knows which disks stand on files of the image cache; None on
    a host whose disks all stand alone. It listens from when it is made until
    it is closed; ConfigInvalid when it cannot.
    """

    def __init__(
        self,
        directory: str,
        kind: Kind,
        host: str,
        overlays: Overlays | None = None,
    ) -> None:
        super().__init__(directory, kind, host)
        self._overlays = overlays
        kept = os.path.join(CONF.state_path, f'transfer-{host}')
        self._fingerprint = certificate.ensure(f'{kept}.pem', host)
        self._server = TransferServer(
            self,
            listening.open_socket(f'{kept}.port'),
            certificate.server_context(f'{kept}.pem'),
        )
        self._server.start()

    def close(self) -> None:
        """Receive no more; what has come stays."""
        self._server.stop()

    # -- at the destination --------------------------------------------------

    def prepare_disks(self, spec: Spec) -> dict[str, Any]:
        """Make room for what comes; the same word for the same operation."""
        uuid, folder = spec.uuid, self.coming(spec.uuid)
        with failures(uuid):
            known = reception.invited(folder)
            if known is None or known['operation'] != spec.operation:
                self._drop_reception(uuid)
                known = {
                    'operation': spec.operation,
                    'token': secrets.token_urlsafe(32),
                    'probe': f'.{uuid}.{secrets.token_hex(16)}.probe',
                    'content': secrets.token_hex(16),
                }
                os.makedirs(folder, mode=0o700, exist_ok=True)
                write_owner(folder, self.host)
                reception.invite(folder, known)
            self._write_probe(known)
        return {
            'host': self.host,
            'address': CONF.compute.transfer_address,
            'port': self._server.port,
            'fingerprint': self._fingerprint,
            'token': known['token'],
            'probe': known['probe'],
            'content': known['content'],
        }

    def _write_probe(self, known: dict[str, Any]) -> None:
        path = os.path.join(self.directory, known['probe'])
        with open(path, 'w', encoding='ascii') as file:
            file.write(known['content'])
            file.flush()
            os.fsync(file.fileno())

    def accept_disks(self, uuid: str) -> None:
        """Require what was to come, and let nobody hand over any more."""
        folder = self.coming(uuid)
        with failures(uuid):
            here = self.has_disks(uuid)
            if reception.invited(folder) is not None:
                here = here and reception.has_arrived(folder)
            if not here:
                raise exception.DiskFailed(
                    instance_id=uuid,
                    reason=f'its disks did not arrive at {self.host}',
                )
            self._drop_reception(uuid)

    def remove_disks(self, uuid: str) -> None:
        """Remove the disks, but first let nothing come any more."""
        with failures(uuid):
            self._drop_reception(uuid)
        super().remove_disks(uuid)

    def _drop_reception(self, uuid: str) -> None:
        """Forget who is invited, with what has come of what is not whole."""
        folder = self.coming(uuid)
        known = reception.invited(folder)
        if known is not None:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(os.path.join(self.directory, known['probe']))
        if self._overlays is not None:
            self._remove_base_parts(self._overlays.cache, uuid)
        self._remove(uuid, folder)

    @staticmethod
    def _remove_base_parts(cache: str, uuid: str) -> None:
        with contextlib.suppress(FileNotFoundError):
            for name in os.listdir(cache):
                if name.startswith('.') and name.endswith(f'.{uuid}.coming'):
                    os.unlink(os.path.join(cache, name))

    # -- where what comes goes: ``reception.Place`` --------------------------

    def coming(self, uuid: str) -> str:
        """Return the directory of what comes for a guest."""
        return self._coming_to(uuid, self.host)

    def _coming_to(self, uuid: str, host: str) -> str:
        # Where several hosts see one directory two may have been chosen in
        # turn, and the first not have cleaned up.
        return os.path.join(self.directory, f'.{uuid}.{host}.coming')

    def base(self, name: str) -> str:
        """Return a path in the image cache."""
        if self._overlays is None:
            raise Refusal(400, f'no disk of {self.host} stands on another')
        return os.path.join(self._overlays.cache, name)

    def base_part(self, uuid: str, name: str) -> str:
        """Return a path beside it, that no image has."""
        return os.path.join(
            os.path.dirname(self.base(name)), f'.{name}.{uuid}.coming'
        )

    def settle(self, uuid: str, plan: Plan) -> None:
        """Let what has come stand on the own bases, and be the guest's."""
        came = os.path.join(self.coming(uuid), 'files')
        folder = self.folder(uuid) if plan.shared else came
        self._check_overlays(folder, plan)
        if plan.shared:
            return
        other = self.owner(uuid)
        if other not in (None, self.host):
            raise Refusal(
                409,
                f'{self.folder(uuid)} has the disks, as those of {other}: '
                'both hosts see this directory, but the source has not found '
                'the probe in it',
            )
        write_owner(came, self.host)
        reception.sync_directory(came)
        self._remove(uuid, self.folder(uuid))
        os.rename(came, self.folder(uuid))
        reception.sync_directory(self.directory)

    def _check_overlays(self, folder: str, plan: Plan) -> None:
        if self._overlays is None:
            return
        for name in self._overlays.names:
            path = os.path.join(folder, name)
            if not os.path.exists(path):
                continue
            base = plan.overlays.get(name)
            try:
                self._overlays.check(path, base and Base(*base))
            except NotOurs as error:
                raise Refusal(409, str(error)) from error

    # -- at the source -------------------------------------------------------

    def check_hand_over(
        self, uuid: str, to: Peer, invitation: dict[str, Any]
    ) -> None:
        """See what would be sent, and ask the other host for room."""
        _require_invited(uuid, to, invitation)
        with failures(uuid):
            if self.has_aside(uuid):
                return
            self.require(uuid)
            shared = self._shares(invitation)
            cargo = self._cargo(self.folder(uuid), shared)
            if cargo.bases or not shared:
                sending.check(uuid, invitation, cargo)

    def hand_over(
        self, uuid: str, to: Peer, invitation: dict[str, Any]
    ) -> Iterator[Progress]:
        """Send the files, or give them where the directory is shared."""
        _require_invited(uuid, to, invitation)
        with failures(uuid):
            if self._shares(invitation):
                yield from self._give_away(uuid, to, invitation)
            elif not self.has_aside(uuid):
                self.require(uuid)
                cargo = self._cargo(self.folder(uuid))
                yield from sending.send(uuid, invitation, cargo)

    def _shares(self, invitation: dict[str, Any]) -> bool:
        """Tell whether the other host's probe is in the own directory."""
        return sharing.holds(
            self.directory,
            str(invitation['probe']),
            str(invitation['content']),
        )

    def _give_away(
        self, uuid: str, to: Peer, invitation: dict[str, Any]
    ) -> Iterator[Progress]:
        """Set a copy aside, then let the disks be the other host's."""
        if self.owner(uuid) == to.host and self.has_aside(uuid):
            return
        self.set_aside(uuid, copy=True)
        aside = os.path.join(self.directory, f'{uuid}_resize')
        cargo = self._cargo(aside, shared=True)
        if cargo.bases:
            yield from sending.send(uuid, invitation, cargo)
        LOG.info(
            'The disks of %s are given to %s, which has the same directory.',
            uuid,
            to.host,
        )
        # As when it had come through the transfer: then it has arrived.
        remove_tree(os.path.join(self._coming_to(uuid, to.host), 'files'))
        self.give(uuid, to.host)
        yield Progress(0, 0)

    def _cargo(self, folder: str, shared: bool = False) -> sending.Cargo:
        """Return what a directory of disks comes to."""
        files = sending.files_of(folder)
        files.pop(OWNER, None)
        bases, stand_on = {}, {}
        for name in self._overlays.names if self._overlays else ():
            if name in files and self._overlays:
                base = self._overlays.base_of(files[name])
                if base is not None:
                    bases[base.name] = self.base(base.name)
                    stand_on[name] = (base.name, base.format)
        return sending.Cargo(files, bases, stand_on, shared)


def _require_invited(uuid: str, to: Peer, invitation: dict[str, Any]) -> None:
    """Raise DiskFailed for what is no invitation of such a host."""
    if 'probe' not in invitation:
        raise exception.DiskFailed(
            instance_id=uuid,
            reason=f'{to.host} has not said how it is reached; does it run '
            'the same release, and the same driver?',
        )
