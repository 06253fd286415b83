# SPDX-License-Identifier: Apache-2.0
"""The objects that travel: pinned to their versions."""

import datetime

from hypothesis import given
from hypothesis import strategies
from oslo_versionedobjects import base as ovo_base
from oslo_versionedobjects import fixture

from minova import objects
from minova.objects.base import Object
from minova.rpc import serializer
from tests import base

#: Version and fingerprint of each object. When a test here fails, an object
#: has changed: give it a new version, say how the old one is made from it
#: (``obj_make_compatible``), and change its line.
PINNED = {
    'StepResult': '1.0-d3d987c5e400f8cd434a3e3e7b4b21aa',
    'DueStep': '1.0-923928f866b2c1e2e900645e78596186',
    'Flavor': '1.0-98000f36beb2454f574525c5ea13f644',
    'GuestReport': '1.0-80f16f2ff99310f63bda7368cf9ddd63',
    'HostArtifact': '1.1-7ef4f2cfb758a17d45c600a8ff3f4e36',
    'HostReport': '1.0-2e0198d3a119229a644e2f7346e58c3a',
    'Instance': '1.0-9ee66030f0173357e8bfa563225d55c6',
    'InstanceState': '1.0-d6412ace4bfc68436b7383b9ba81a284',
    'Migration': '1.0-8e8fd168a1135a7edd15df354b1ca642',
    'StepAssignment': '1.0-cfb9ad3447e4f86d1ae58e941ead80e5',
    'Wakeup': '1.0-8eca4310cdf595bca5435898adb13a97',
}


class VersionsTest(base.TestCase):
    """An object does not change without its version."""

    def test_fingerprints(self):
        checker = fixture.ObjectVersionChecker(
            {
                name: classes
                for name, classes in (
                    ovo_base.VersionedObjectRegistry.obj_classes().items()
                )
                if classes[0].__module__.startswith('minova.')
            }
        )
        self.assertEqual(PINNED, checker.get_hashes())


class HostArtifactTest(base.TestCase):
    """What an older host has not said, and what an older one is not told."""

    def test_between_releases(self):
        values = {
            name: None if field.nullable else False
            for name, field in objects.HostArtifact.fields.items()
        }
        new = objects.HostArtifact(
            **values | {'uuid': 'u', 'has_reserved_addresses': True}
        )
        old = new.to_wire({'HostArtifact': '1.0'})
        self.assertNotIn('has_reserved_addresses', old['minova_object.data'])
        self.assertEqual('1.0', old['minova_object.version'])
        found = serializer.decode(old)
        self.assertFalse(found.has_reserved_addresses)
        self.assertTrue(
            serializer.decode(new.to_wire()).has_reserved_addresses
        )
        self.assertRaises(NotImplementedError, found.obj_load_attr, 'disks')


def flavors():
    """Return a strategy for flavors."""
    text = strategies.text(max_size=20)
    size = strategies.integers(0, 2**31)
    return strategies.builds(
        objects.Flavor,
        id=size,
        flavorid=text,
        name=text,
        description=strategies.none() | text,
        vcpus=size,
        memory_mb=size,
        root_gb=size,
        ephemeral_gb=size,
        swap_mb=size,
        rxtx_factor=strategies.floats(0, 1e6),
        is_public=strategies.booleans(),
        disabled=strategies.booleans(),
        extra_specs=strategies.dictionaries(text, text, max_size=3),
    )


class WireTest(base.TestCase):
    """What is sent is what arrives."""

    @given(flavors())
    def test_there_and_back(self, flavor):
        self.assertEqual(
            flavor.as_dict(),
            serializer.decode(serializer.encode(flavor)).as_dict(),
        )

    @given(strategies.lists(flavors(), max_size=3))
    def test_lists(self, many):
        back = serializer.decode(serializer.encode(many))
        self.assertEqual(
            [one.as_dict() for one in many], [one.as_dict() for one in back]
        )

    def test_times_keep_their_microseconds(self):
        # The library's own field writes whole seconds.
        moment = datetime.datetime(
            2026, 1, 2, 3, 4, 5, 678901, tzinfo=datetime.UTC
        )
        made = objects.Migration(
            **dict.fromkeys(objects.Migration.fields)
            | {
                'id': 1,
                'uuid': 'u',
                'instance_uuid': 'i',
                'operation_id': 'o',
                'kind': 'resize',
                'status': 'finished',
                'old_vm_state': 'active',
                'source_host': 'a',
                'source_node': 'a',
                'old_flavor': base_flavor(),
                'new_flavor': base_flavor(),
                'created_at': moment,
            }
        )
        self.assertEqual(
            moment, serializer.decode(serializer.encode(made)).created_at
        )

    def test_every_object_is_registered(self):
        for name in objects.__all__:
            self.assertTrue(issubclass(getattr(objects, name), Object))


def base_flavor():
    return objects.Flavor(
        id=1,
        flavorid='1',
        name='f',
        description=None,
        vcpus=1,
        memory_mb=1,
        root_gb=1,
        ephemeral_gb=0,
        swap_mb=0,
        rxtx_factor=1.0,
        is_public=True,
        disabled=False,
        extra_specs={},
    )
