# SPDX-License-Identifier: Apache-2.0
"""Live migration between QEMU hosts, from libvirt to libvirt.

It is always peer to peer: the libvirt of the source talks to that of the
destination, and goes on when the compute that began it is killed. So nothing
of a move is known only here: whoever starts next finds libvirt's job, or a
guest that has gone. One thread per move waits for libvirt's word on how it
ended.

What the hosts tell each other before is the plan, which is kept with the
operation::

    check_reception     the destination says where and what it is
    check_departure     the source adds how: block or shared, disks, mode
    prepare_reception   the destination makes disks; 'incremental' says that
                        they are over the same image
"""

from collections.abc import Iterator
import contextlib
import dataclasses
import os
import shutil
from typing import Any
from typing import Final
from xml.etree import ElementTree

import libvirt
from oslo_log import log as logging

from minova import clock
from minova import emulators
from minova import exception
from minova.conf import CONF
from minova.states import ON
from minova.virt.driver import Migration
from minova.virt.driver import Peer
from minova.virt.driver import Spec
from minova.virt.libvirt import backing
from minova.virt.libvirt import drives
from minova.virt.libvirt import jobs
from minova.virt.libvirt import networks
from minova.virt.libvirt import qcow2
from minova.virt.libvirt import xml
from minova.virt.libvirt.connection import Connection
from minova.virt.libvirt.connection import is_about
from minova.virt.libvirt.connection import refusals
from minova.virt.libvirt.connection import words
from minova.virt.libvirt.disks import enlarge
from minova.virt.libvirt.disks import failures
from minova.virt.libvirt.guests import Guests
from minova.virt.libvirt.qemu_disks import QemuDisks
from minova.virt.libvirt.qemu_disks import without_base
from minova.virt.libvirt.sharing import Sharing
from minova.virt.libvirt.site import Site

LOG = logging.getLogger(__name__)

Plan = dict[str, Any]

_STEPS: Final = 10


@dataclasses.dataclass
class _Run:
    """A move that this process has begun; ``ended`` is libvirt's word."""

    ended: Migration | None = None
    #: What libvirt was last told; 0: nothing yet.
    downtime: int = 0
    has_switched: bool = False


class LiveMoves:
    """Live migration as a driver is asked for it."""

    def __init__(
        self,
        site: Site,
        connection: Connection,
        guests: Guests,
        disks: QemuDisks,
    ) -> None:
        self._site = site
        self._host = site.host
        self._sharing = Sharing(site.instances, site.host)
        self._connection = connection
        self._guests = guests
        self._disks = disks
        self._runs: dict[str, _Run] = {}

    # -- at the destination, before ------------------------------------------

    def check_reception(
        self, spec: Spec, source: dict[str, Any], block: bool | None
    ) -> Plan:
        """Refuse what cannot come; tell where it would come to."""
        if self._guests.find(spec.uuid) is not None:
            raise exception.MigrationRefused(
                reason=f'{self._host} still has a guest {spec.uuid}; it is '
                'removed when its power states are reconciled'
            )
        if self._site.virt_type == 'kvm':
            self._compare_processor(source.get('cpu_info') or {})
        with _refused():
            return {
                'dest': self._host,
                'virt_type': self._site.virt_type,
                'emulator': self._site.emulator,
                'version': self._site.version(self._connection.use()),
                'places': list(self._site.places),
                'vnc_listen': CONF.libvirt.vnc_listen,
                'uri': self._site.uri,
                'address': self._site.address,
                'probe': self._sharing.probe(),
                'has_disks': self._disks.sees_disks(spec.uuid),
                'missing_base': self._disks.missing_base(spec.uuid),
                'config_drive': drives.digest(spec),
                'free': shutil.disk_usage(self._site.instances).free,
                'over_commit': bool(source.get('disk_over_commit')),
            }

    def _compare_processor(self, told: dict[str, Any]) -> None:
        if not told.get('model'):
            return
        with _refused():
            result = self._connection.use().compareCPU(xml.processor(told))
        if result <= libvirt.VIR_CPU_COMPARE_INCOMPATIBLE:
            raise exception.InvalidCPUInfo(
                reason=f'the processor of {self._host} lacks what guests of '
                f'the source were given ({told["model"]})'
            )

    def prepare_reception(
        self, spec: Spec, plan: Plan, image: str | None = None
    ) -> Plan:
        """Make the files that are copied into, where disks are copied."""
        uuid = spec.uuid
        networks.connect(self._connection, uuid, spec.nics)
        if not plan['block_migration']:
            self._disks.require_shared(uuid)
            return {}
        # Over another image, or over none, everything would be copied.
        base = plan['disks'][0]['base']
        wanted = image if image and os.path.basename(image) == base else None
        with failures(uuid):
            folder = self._disks.make_room(uuid)
            drives.put(folder, plan.get('config_drive_content'))
            self._disks.make_companions(spec)
            for disk in plan['disks']:
                path = os.path.join(folder, disk['name'])
                if not os.path.exists(path):
                    _make(path, disk, wanted, qcow2.image_format(spec.image))
            root = os.path.join(folder, plan['disks'][0]['name'])
            return {'incremental': backing.backing_file(root) is not None}

    def cancel_reception(self, uuid: str, plan: Plan) -> None:
        """Remove the guest, which the source has kept, and its copied disks.

        Disks that both hosts share are the source's.
        """
        self._guests.remove(uuid)
        if plan['block_migration']:
            self._disks.remove_disks(uuid)

    # -- at the source, before -----------------------------------------------

    def check_departure(
        self, uuid: str, answer: Plan, block: bool | None
    ) -> Plan:
        """Find out whether storage is shared, and how the guest may move."""
        domain = self._guests.find(uuid)
        guest = self._guests.guest(uuid)
        if domain is None or guest is None or guest.power not in ON:
            raise exception.MigrationRefused(
                reason=f'guest {uuid} does not run at {self._host}'
            )
        with _refused():
            shared = self._sharing.sees(answer['probe'])
            self._check_storage(uuid, answer, block, shared)
            running = ElementTree.fromstring(domain.XMLDesc())  # noqa: S314
            with self._guests.apart(domain) as same:
                disks = _movable(same, running)
            mode = _mode(running, answer)
            drive = None
            if not shared:
                self._check_room(uuid, answer, disks)
                drive = drives.unlike(
                    self._disks.folder(uuid), answer.get('config_drive')
                )
        return answer | {
            'config_drive_content': drive,
            'source': self._host,
            'block_migration': not shared,
            'disks': disks,
            'mode': mode,
            'tls': CONF.libvirt.migration_tls,
        }

    def _check_storage(
        self, uuid: str, answer: Plan, block: bool | None, shared: bool
    ) -> None:
        path, dest = self._disks.folder(uuid), answer['dest']
        if shared and block:
            raise exception.InvalidSharedStorage(
                path=path,
                reason=f'{self._host} and {dest} see the same files, so that '
                'there is nothing to copy; ask for no block migration',
            )
        # A host of an older release does not say.
        missing = answer.get('missing_base')
        if shared and missing is not None:
            raise exception.MigrationRefused(
                reason=without_base(dest, missing)
            )
        if not shared and block is False:
            raise exception.InvalidLocalStorage(
                path=path,
                reason=f'{dest} does not see it; ask for block migration',
            )
        if not shared and answer['has_disks']:
            raise exception.MigrationRefused(
                reason=f'{dest} still has disks of {uuid}; '
                '"minova-manage audit" tells whose they are'
            )

    def _check_room(self, uuid: str, answer: Plan, disks: list[Plan]) -> None:
        if answer['over_commit']:
            needed = self._disks.used(uuid)
        else:
            needed = sum(disk['size'] for disk in disks)
        if needed > answer['free']:
            raise exception.MigrationRefused(
                reason=f'{answer["dest"]} has {answer["free"]} bytes free, '
                f'the disks of {uuid} need {needed}'
            )

    # -- at the source, meanwhile --------------------------------------------

    def migrate(self, uuid: str, to: Peer, plan: Plan) -> None:
        """Let libvirt begin, in a thread that waits for the end."""
        domain = self._guests.require(uuid)
        if self.migration(uuid).state == 'running':
            return
        guest = self._guests.guest(uuid)
        if guest is None or guest.power not in ON:
            raise exception.GuestMigrationFailed(
                instance_id=uuid, reason='it is off'
            )
        with refusals(uuid):
            parameters = self._parameters(domain, plan)
        run = self._runs[uuid] = _Run()
        clock.spawn(
            f'move-{uuid[:8]}', self._wait_for, uuid, plan, parameters, run
        )

    def _wait_for(
        self, uuid: str, plan: Plan, parameters: dict[str, Any], run: _Run
    ) -> None:
        """Be the thread that hears from libvirt how a move has ended."""
        try:
            with self._connection.apart() as opened:
                domain = opened.lookupByUUIDString(uuid)
                domain.migrateToURI3(plan['uri'], parameters, _flags(plan))
        except libvirt.libvirtError as error:
            aborted = is_about(error, libvirt.VIR_ERR_OPERATION_ABORTED)
            run.ended = Migration(
                'cancelled' if aborted else 'failed', words(error)
            )
        except exception.GuestFailed as error:
            run.ended = Migration('failed', str(error))
        else:
            run.ended = Migration('completed')

    def _parameters(self, domain: Any, plan: Plan) -> dict[str, Any]:
        places = dict(zip(self._site.places, plan['places'], strict=True))
        running, lasting = (
            xml.received(
                domain.XMLDesc(flags | libvirt.VIR_DOMAIN_XML_MIGRATABLE),
                places,
                plan['emulator'],
                plan['vnc_listen'],
            )
            for flags in (
                libvirt.VIR_DOMAIN_XML_SECURE,
                libvirt.VIR_DOMAIN_XML_SECURE
                | libvirt.VIR_DOMAIN_XML_INACTIVE,
            )
        )
        found: dict[str, Any] = {
            libvirt.VIR_MIGRATE_PARAM_DEST_XML: running,
            libvirt.VIR_MIGRATE_PARAM_PERSIST_XML: lasting,
            libvirt.VIR_MIGRATE_PARAM_URI: f'tcp://{plan["address"]}',
        }
        if plan['block_migration']:
            found[libvirt.VIR_MIGRATE_PARAM_LISTEN_ADDRESS] = plan['address']
        if CONF.libvirt.migration_bandwidth:
            found[libvirt.VIR_MIGRATE_PARAM_BANDWIDTH] = (
                CONF.libvirt.migration_bandwidth
            )
        return found

    def migration(self, uuid: str) -> Migration:
        """Ask libvirt for its job; then what the thread has heard."""
        run = self._runs.get(uuid)
        domain = self._guests.find(uuid)
        under_way = None if domain is None else jobs.move(uuid, domain)
        if under_way is not None:
            return under_way
        if run is None:
            return Migration('none')
        return run.ended or Migration('running')

    def hasten(self, uuid: str, plan: Plan, seconds: float) -> None:
        """Allow more downtime the longer it takes; go over to post-copy."""
        run = self._runs.setdefault(uuid, _Run(ended=Migration('none')))
        domain = self._guests.find(uuid)
        if domain is None:
            return
        downtime = _downtime(seconds)
        try:
            if downtime != run.downtime:
                with self._guests.apart(domain) as same:
                    same.migrateSetMaxDowntime(downtime)
                run.downtime = downtime
            if plan['mode'] == 'post-copy' and not run.has_switched:
                with self._guests.apart(domain) as same:
                    same.migrateStartPostCopy()
                run.has_switched = True
        except libvirt.libvirtError as error:
            # It has not begun, or has just ended; the next look tells.
            LOG.debug('Guest %s is not hastened: %s', uuid, words(error))

    def force_migration(self, uuid: str) -> None:
        """Let the guest stand still, or go on there with what has come."""
        domain = self._guests.require(uuid)
        with refusals(uuid):
            if self.migration(uuid).state != 'running':
                return
            if domain.state()[0] == libvirt.VIR_DOMAIN_PAUSED:
                # It stands still already: there is nothing to wait for.
                return
            with self._guests.apart(domain) as same:
                if CONF.libvirt.migration_post_copy:
                    same.migrateStartPostCopy()
                else:
                    same.suspend()

    def abort_migration(self, uuid: str) -> None:
        """Ask libvirt to end its job."""
        domain = self._guests.find(uuid)
        if domain is None:
            return
        try:
            with self._guests.apart(domain) as same:
                same.abortJob()
        except libvirt.libvirtError as error:
            # It has not begun or is over; who asks looks again, and asks.
            if not is_about(error, libvirt.VIR_ERR_OPERATION_INVALID):
                raise exception.GuestFailed(
                    instance_id=uuid, reason=words(error)
                ) from error


# -- how ---------------------------------------------------------------------


@contextlib.contextmanager
def _refused() -> Iterator[None]:
    """Raise what libvirt or a file refuses as a check that failed."""
    try:
        yield
    except libvirt.libvirtError as error:
        raise exception.MigrationRefused(reason=words(error)) from error
    except (OSError, exception.DiskFailed) as error:
        raise exception.MigrationRefused(reason=str(error)) from error


def _movable(domain: Any, running: ElementTree.Element) -> list[Plan]:
    """Return the disks that are written to: name, size, format, image."""
    found = []
    for disk in running.iterfind("./devices/disk[@device='disk']"):
        source, driver = disk.find('source'), disk.find('driver')
        if source is None or disk.find('readonly') is not None:
            continue
        path = str(source.get('file'))
        kind = 'raw' if driver is None else str(driver.get('type'))
        base = backing.backing_file(path) if kind == 'qcow2' else None
        found.append(
            {
                'name': os.path.basename(path),
                'size': domain.blockInfo(path)[0],
                'format': kind,
                'base': base and os.path.basename(base),
            }
        )
    return found


def _make(path: str, disk: Plan, image: str | None, image_format: str) -> None:
    """Make the file that a disk is copied into, of exactly its size."""
    folder, name = os.path.split(path)
    part = os.path.join(folder, f'.{name}.part')
    if disk['format'] == 'qcow2':
        qcow2.make_overlay(part, disk['size'], image, image_format)
    else:
        with open(part, 'wb') as file:
            enlarge(file.fileno(), disk['size'])
    os.rename(part, path)


def _mode(running: ElementTree.Element, answer: Plan) -> str:
    """Return 'live', 'pause' or 'post-copy'; refuse what is not safe."""
    kind = running.get('type')
    if kind != answer['virt_type']:
        raise exception.MigrationRefused(
            reason=f'the guest runs on {kind}, guests of {answer["dest"]} on '
            f'{answer["virt_type"]} ([libvirt] virt_type)'
        )
    path = running.findtext('./devices/emulator')
    versions = [answer['version']]
    if path:
        versions.append(emulators.version(path))
    if kind != 'qemu' or min(versions) >= emulators.SOUND:
        return 'live'
    setting: str = CONF.libvirt.migration_unsound_emulator
    if setting == 'refuse':
        raise exception.MigrationRefused(
            reason='a QEMU older than 10 may corrupt the memory of a guest '
            'with emulated processors that moves while it runs; use a newer '
            'one ([libvirt] emulator) or another way ([libvirt] '
            'migration_unsound_emulator)'
        )
    return 'live' if setting == 'trust' else setting


def _flags(plan: Plan) -> int:
    flags: int = (
        libvirt.VIR_MIGRATE_PEER2PEER
        | libvirt.VIR_MIGRATE_PERSIST_DEST
        | libvirt.VIR_MIGRATE_UNDEFINE_SOURCE
        | libvirt.VIR_MIGRATE_ABORT_ON_ERROR
    )
    if plan['mode'] != 'pause':
        flags |= libvirt.VIR_MIGRATE_LIVE
        if CONF.libvirt.migration_auto_converge:
            flags |= libvirt.VIR_MIGRATE_AUTO_CONVERGE
        if CONF.libvirt.migration_post_copy or plan['mode'] == 'post-copy':
            flags |= libvirt.VIR_MIGRATE_POSTCOPY
    if not plan['block_migration']:
        # Proven by a file of ours, which libvirt does not know of.
        flags |= libvirt.VIR_MIGRATE_UNSAFE
    elif plan.get('incremental'):
        flags |= libvirt.VIR_MIGRATE_NON_SHARED_INC
    else:
        flags |= libvirt.VIR_MIGRATE_NON_SHARED_DISK
    if plan['tls']:
        flags |= libvirt.VIR_MIGRATE_TLS
    return flags


def _downtime(seconds: float) -> int:
    """Return the milliseconds that a move may stop its guest after a while."""
    most: int = CONF.libvirt.migration_downtime
    delay = CONF.libvirt.migration_downtime_delay
    step = _STEPS if not delay else min(_STEPS, 1 + int(seconds / delay))
    return max(1, most * step // _STEPS)
