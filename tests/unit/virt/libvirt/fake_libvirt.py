# SPDX-License-Identifier: Apache-2.0
"""Fakes of libvirt for QEMU hosts: domains that record their calls."""

import contextlib
import os

import libvirt

from minova.virt.libvirt import xml
from minova.virt.libvirt.qemu.disks import QemuDisks
from minova.virt.libvirt.qemu.guests import QemuGuests
from minova.virt.libvirt.qemu.host_config import HostConfig
from minova.virt.libvirt.qemu.live_migration import QemuLiveMigration
from tests import base
from tests.unit.virt.rigs import spec
from tests.unit.virt.rigs import UUID

EMULATOR = '/usr/bin/qemu-system-x86_64'


def refusal(code, text='no'):
    """Return an error as libvirt raises it."""
    error = libvirt.libvirtError(text)
    error.err = (code, 0, text, 0, '', None, None, 0, 0)
    return error


class Domain:
    """A domain that records the calls of its methods in ``calls``."""

    def __init__(self, definition):
        self.definition = definition
        self.power = (libvirt.VIR_DOMAIN_RUNNING, 0)
        self.persistent = True
        self.job = {'type': libvirt.VIR_DOMAIN_JOB_NONE}
        self.calls = []
        #: By the name of a method: what it raises.
        self.errors = {}
        #: What the thread that migrates waits for.
        self.ends = None

    def _say(self, name, *words):
        self.calls.append((name, *words))
        if name in self.errors:
            raise self.errors[name]

    def UUIDString(self):
        return UUID

    def ID(self):
        return 7

    def isPersistent(self):
        return self.persistent

    def isActive(self):
        return self.power[0] in (
            libvirt.VIR_DOMAIN_RUNNING,
            libvirt.VIR_DOMAIN_PAUSED,
        )

    def metadata(self, kind, uri):
        raise refusal(libvirt.VIR_ERR_NO_DOMAIN_METADATA)

    def setMetadata(self, *words):
        self._say('setMetadata')

    def state(self):
        return self.power

    def XMLDesc(self, flags=0):
        return self.definition

    def blockInfo(self, path):
        return [os.path.getsize(path), 0, 0]

    def jobStats(self):
        if 'jobStats' in self.errors:
            raise self.errors['jobStats']
        return self.job

    def suspend(self):
        self._say('suspend')

    def destroy(self):
        self._say('destroy')

    def undefineFlags(self, flags):
        self._say('undefine')

    def abortJob(self):
        self._say('abortJob')

    def migrateSetMaxDowntime(self, milliseconds):
        self._say('downtime', milliseconds)

    def migrateStartPostCopy(self):
        self._say('post-copy')

    def migrateToURI3(self, uri, parameters, flags):
        self.calls.append(('migrate', uri, parameters, flags))
        if self.ends is not None:
            self.ends.wait(10)
        if 'migrate' in self.errors:
            raise self.errors['migrate']


class Opened:
    """A connection of libvirt's that knows at most one domain."""

    def __init__(self):
        self.domain = None
        self.compares = libvirt.VIR_CPU_COMPARE_IDENTICAL
        self.compared = []
        self.capabilities = f'<c><path>{EMULATOR}</path></c>'

    def lookupByUUIDString(self, uuid):
        if self.domain is None:
            raise refusal(libvirt.VIR_ERR_NO_DOMAIN)
        return self.domain

    def listAllNetworks(self, flags=0):
        return []

    def compareCPU(self, text):
        self.compared.append(text)
        return self.compares

    def getDomainCapabilities(self, *words):
        return self.capabilities

    def defineXML(self, text):
        if self.domain is None:
            self.domain = Domain(text)
            self.domain.power = (libvirt.VIR_DOMAIN_SHUTOFF, 0)
        return self.domain


class Connection:
    """A ``Connection`` of the driver with that connection."""

    uri = 'qemu:///system'

    def __init__(self):
        self.opened = Opened()

    def add_listener(self, listener):
        """Do nothing: there are no events."""

    def get(self):
        return self.opened

    @contextlib.contextmanager
    def dedicated(self):
        yield self.opened


class Host:
    """A QEMU host with its real parts, except libvirt."""

    def __init__(self, name, directory, virt_type='qemu', paths=None):
        instances, images = paths or (
            os.path.join(directory, name, 'instances'),
            os.path.join(directory, name, 'images'),
        )
        for folder in (instances, images):
            os.makedirs(folder, exist_ok=True)
        self.host_config = HostConfig(
            host=name,
            instances_path=instances,
            image_cache_path=images,
            connection_uri='qemu:///system',
            live_migration_uri='qemu+tls://%s/system',
            live_migration_inbound_addr='192.0.2.1',
            virt_type=virt_type,
            emulator='',
        )
        self.connection = Connection()
        self.disks = QemuDisks(self.host_config)
        self.guests = QemuGuests(
            self.connection, self.disks, xml.PROFILES[virt_type]
        )
        self.live_migration = QemuLiveMigration(
            self.host_config, self.connection, self.guests, self.disks
        )

    @property
    def domain(self):
        return self.connection.opened.domain

    def has(self, *files):
        return [
            os.path.exists(
                os.path.join(self.disks.guest_directory(UUID), file)
            )
            for file in files
        ]

    def boot(self, **values):
        """Run a guest with its disks."""
        wanted = spec(**values)
        self.disks.create_disks(wanted, None)
        text = xml.domain_xml(
            wanted,
            self.disks.list_disks(wanted),
            xml.PROFILES[self.host_config.virt_type],
            self.disks.console_log(UUID),
            '127.0.0.1',
        )
        self.connection.opened.domain = Domain(text)
        return wanted


class HostsTestCase(base.TestCase):
    """Hosts a and b, by default with a QEMU that is safe to migrate."""

    virt_type = 'qemu'

    def setUp(self):
        super().setUp()
        self.config(
            group='compute', transfer_port=0, transfer_address='127.0.0.1'
        )
        self.versions = {EMULATOR: 10_000_000}
        self.a, self.b = self.open('a'), self.open('b')

    def open(self, name, **more):
        host = Host(
            name, self.directory, more.pop('virt_type', self.virt_type), **more
        )
        self.addCleanup(host.disks.close)
        return host
