# SPDX-License-Identifier: Apache-2.0
"""Images that would make a hypervisor read or fill a host.

Each is refused when it arrives, or is plain data: its format is the announced
one, which qemu-img and QEMU are given, so that neither ever probes it.
"""

import io
import struct

from minova import exception
from minova.images import streams
from minova.virt.libvirt.qemu import qcow2 as qemu_qcow2
from tests.unit.identity import base as identity_base
from tests.unit.images import base

_PATH = b'/etc/shadow'
_DESCRIPTOR = (
    b'# Disk DescriptorFile\nversion=1\ncreateType="monolithicFlat"\n'
    b'RW 8 FLAT "/etc/shadow" 0\n'
)


def _with_name(text):
    """Return a qcow2 file with a backing file of this name."""
    head = base.qcow2(backing=(104, len(text)))
    return head[:104] + text + head[104:]


def _vdi():
    return b'<<< Oracle VM VirtualBox Disk Image >>>\n'.ljust(64) + (
        b'\x7f\x10\xda\xbe' + bytes(448)
    )


class MaliciousImagesTest(identity_base.TestCase):
    """One kind of file a line."""

    def receive(self, data, disk_format):
        """Return what is known of the data after its arrival."""
        return streams.receive(
            io.BytesIO(data), io.BytesIO(), disk_format, 1 << 30
        )

    def test_refused(self):
        for data, disk_format, text in (
            # 1 to 3: the backing file of a qcow2 file, in each of its forms
            (_with_name(_PATH), 'qcow2', 'backing file'),
            (_with_name(b'json:{"driver": "nbd"}'), 'qcow2', 'backing file'),
            (_with_name(b'http://127.0.0.1/'), 'qcow2', 'backing file'),
            # 4: its external data file
            (base.qcow2(features=4), 'qcow2', 'external data file'),
            # 5, 6: a qcow2 file that is announced as another format
            (_with_name(_PATH), 'raw', 'format qcow2'),
            (base.qcow2(), 'iso', 'format qcow2'),
            # 7, 8: VMDK, whose descriptor names files
            (_DESCRIPTOR, 'raw', 'format VMDK'),
            (b'KDMV' + bytes(508) + _DESCRIPTOR, 'raw', 'format VMDK'),
            (b'KDMV' + bytes(508), 'qcow2', 'not in the format qcow2'),
            # 9: other formats of QEMU
            (_vdi(), 'raw', 'format VDI'),
            (b'conectix' + bytes(504), 'raw', 'format VHD'),
            (b'vhdxfile' + bytes(504), 'iso', 'format VHDX'),
            (b'QED\0' + bytes(508), 'raw', 'format QED'),
            (b'WithoutFreeSpace' + bytes(48), 'raw', 'format Parallels'),
            # 10: headers that are cut off, or beyond the format
            (base.qcow2()[:71], 'qcow2', 'not in the format qcow2'),
            (base.qcow2()[:103], 'qcow2', 'cut off'),
            (base.qcow2(cluster_bits=31), 'qcow2', 'not valid'),
            (base.qcow2(size=1 << 63), 'qcow2', 'not valid'),
            # 11: a key, a damaged file and features of the future
            (base.qcow2(encryption=2), 'qcow2', 'encrypted'),
            (base.qcow2(features=2), 'qcow2', 'corrupt'),
            (base.qcow2(features=1 << 40), 'qcow2', 'unknown features'),
        ):
            error = self.assertRaises(
                exception.InvalidInput, self.receive, data, disk_format
            )
            self.assertIn(text, str(error), data[:40])

    def test_huge_virtual_size_is_known(self):
        """12: the flavor must have room for it."""
        for size in (8 << 40, (1 << 63) - 512):
            found = self.receive(base.qcow2(size=size), 'qcow2')
            self.assertEqual(size, found.virtual_size)

    def test_plain_data(self):
        """13: files in files, snapshots, polyglots are data of the guest."""
        snapshots = bytearray(base.qcow2())
        struct.pack_into('>IQ', snapshots, 60, 1 << 31, 1 << 40)
        iso = bytearray(40960)
        iso[32769:32774] = b'CD001'
        iso[512:1024] = _with_name(_PATH)[:512]
        for data, disk_format in (
            (base.qcow2() + base.qcow2(backing=(104, 9)), 'qcow2'),
            (bytes(snapshots), 'qcow2'),
            (bytes(iso), 'iso'),
            (bytes(512) + _with_name(_PATH), 'raw'),
            (bytes(512) + _DESCRIPTOR, 'raw'),
        ):
            self.assertEqual(len(data), self.receive(data, disk_format).size)

    def test_format_is_never_probed(self):
        """QEMU is given the format of the image service, whatever the file."""
        for disk_format, expected in (
            ('qcow2', 'qcow2'),
            ('raw', 'raw'),
            ('ami', 'raw'),
            (None, 'raw'),
        ):
            meta = {'disk_format': disk_format}
            self.assertEqual(expected, qemu_qcow2.image_format(meta))
        for disk_format in ('vmdk', 'vdi', 'vhd', 'vhdx', 'ploop', 'iso'):
            self.assertRaises(
                OSError, qemu_qcow2.image_format, {'disk_format': disk_format}
            )
