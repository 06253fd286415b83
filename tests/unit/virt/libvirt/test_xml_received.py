# SPDX-License-Identifier: Apache-2.0
"""The definition with which a destination receives a guest."""

from xml.etree import ElementTree

from minova.virt.libvirt import xml
from minova.virt.libvirt.qemu import migration_xml
from tests import base

PLACES = {'/a/instances': '/b/vm', '/a/images': '/b/cache'}
TEXT = """
<domain type='kvm' id='3'>
  <os>
    <kernel>/a/instances/1/kernel</kernel>
    <initrd>/a/instances/1/ramdisk</initrd>
    <loader>/a/instances-of-others/x</loader>
  </os>
  <devices>
    <emulator>/usr/bin/qemu-7</emulator>
    <disk type='file' device='disk'>
      <source file='/a/instances/1/disk' index='1'/>
      <backingStore type='file'>
        <format type='raw'/>
        <source file='/a/images/image-1'/>
        <backingStore/>
      </backingStore>
      <target dev='vda'/>
    </disk>
    <disk type='file' device='cdrom'>
      <source file='/usr/share/tools.iso'/>
      <backingStore/>
    </disk>
    <disk type='file' device='disk'>
      <source file='/a/instances-of-others/1/disk'/>
    </disk>
    <serial type='pty'>
      <source path='/dev/pts/1'/>
      <log file='/a/instances/1/console.log' append='on'/>
    </serial>
    <graphics type='vnc' port='5900' listen='192.0.2.1'>
      <listen type='address' address='192.0.2.1'/>
    </graphics>
  </devices>
</domain>
"""


class RelocatedTest(base.TestCase):
    def test_files(self):
        root = ElementTree.fromstring(xml.relocate_files(TEXT, PLACES))
        files = [
            element.get('file')
            for element in root.iter()
            if element.get('file') is not None
        ]
        self.assertEqual(
            [
                '/b/vm/1/disk',
                '/b/cache/image-1',
                '/usr/share/tools.iso',
                # A name that begins alike is another directory.
                '/a/instances-of-others/1/disk',
                '/b/vm/1/console.log',
            ],
            files,
        )
        self.assertEqual('/b/vm/1/kernel', root.findtext('os/kernel'))
        self.assertEqual('/b/vm/1/ramdisk', root.findtext('os/initrd'))
        self.assertEqual(
            '/dev/pts/1', root.find('.//serial/source').get('path')
        )


class ReceivedTest(base.TestCase):
    def received(self, emulator=''):
        text = migration_xml.incoming_domain_xml(
            TEXT, PLACES, emulator, '198.51.100.2'
        )
        return ElementTree.fromstring(text)

    def test_file_paths_are_rewritten(self):
        root = self.received()
        self.assertEqual([], list(root.iter('backingStore')))
        self.assertEqual(
            '/b/vm/1/disk', root.find('./devices/disk/source').get('file')
        )

    def test_vnc_address(self):
        screen = self.received().find('./devices/graphics')
        self.assertEqual('198.51.100.2', screen.get('listen'))
        self.assertEqual('198.51.100.2', screen.find('listen').get('address'))

    def test_the_emulator(self):
        for emulator, expected in (('', '/usr/bin/qemu-7'), ('/q', '/q')):
            root = self.received(emulator)
            self.assertEqual(expected, root.findtext('./devices/emulator'))

    def test_the_rest_stays(self):
        root = self.received()
        self.assertEqual('kvm', root.get('type'))
        self.assertEqual('vda', root.find('./devices/disk/target').get('dev'))
