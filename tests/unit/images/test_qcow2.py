# SPDX-License-Identifier: Apache-2.0
"""Accepted and refused qcow2 headers."""

from minova import exception
from minova.images import qcow2
from tests.unit.identity import base as identity_base
from tests.unit.images import base


class Qcow2Test(identity_base.TestCase):
    def _refused(self, head):
        return str(
            self.assertRaises(exception.InvalidInput, qcow2.virtual_size, head)
        )

    def test_disk_size(self):
        for size in (0, 512, 5 << 30, (1 << 63) - 1):
            for version in (2, 3):
                head = base.qcow2(version=version, size=size)
                self.assertEqual(size, qcow2.virtual_size(head))

    def test_known_features(self):
        for features in (0, 1, 8, 16, 25):
            qcow2.virtual_size(base.qcow2(features=features))

    def test_version_2_has_no_features(self):
        # In version 2 these bytes have another meaning.
        qcow2.virtual_size(base.qcow2(version=2, features=4))

    def test_external_data_file(self):
        for backing in ((104, 11), (104, 0), (0, 11)):
            for version in (2, 3):
                head = base.qcow2(version=version, backing=backing)
                self.assertIn('backing file', self._refused(head))
        for features in (4, 5):
            head = base.qcow2(features=features)
            self.assertIn('external data file', self._refused(head))

    def test_unsupported_features(self):
        for text, head in (
            ('encrypted', base.qcow2(encryption=1)),
            ('encrypted', base.qcow2(encryption=2)),
            ('corrupt', base.qcow2(features=2)),
            ('unknown features', base.qcow2(features=32)),
            ('unknown features', base.qcow2(features=1 << 63)),
            ('not valid', base.qcow2(version=1)),
            ('not valid', base.qcow2(version=4)),
            ('not valid', base.qcow2(cluster_bits=8)),
            ('not valid', base.qcow2(cluster_bits=22)),
            ('not valid', base.qcow2(size=1 << 63)),
            ('cut off', base.qcow2()[:103]),
        ):
            self.assertIn(text, self._refused(head))

    def test_other_formats(self):
        for head in (
            b'',
            b'QFI\xfb',
            base.qcow2()[:71],
            base.RAW,
            base.qcow2(magic=b'QFI\xfa'),
            b'x' + base.qcow2(),
        ):
            self.assertIn('not in the format qcow2', self._refused(head))
