# SPDX-License-Identifier: Apache-2.0
"""The objects that travel: pinned to their versions."""

import datetime

from hypothesis import given
from hypothesis import strategies
from oslo_versionedobjects import base as ovo_base
from oslo_versionedobjects import fixture

from minova import objects
from minova.objects import base as objects_base
from minova.objects.base import Object
from minova.rpc import serializer
from tests import base

#: Version and fingerprint of each object. When a test here fails, an object
#: has changed: give it a new version, say how the old one is made from it
#: (``obj_make_compatible``), and change its line.
PINNED = {
    'Checkpoint': '1.0-77509ea1ea0dd750d5864b9bd87d3f9d',
    'CleanupStaleGuestArgs': '1.0-e6f96d93a43868ae958311241c761dfb',
    'CleanupStaleGuestParams': '1.0-730315c21f3f72af553e5dcc99dab5d7',
    'CreateParams': '1.0-8c8347a0d6411530d3e2a93a23d932e5',
    'DeleteParams': '1.0-8a29bebd8427ae08733aece79bee0131',
    'DestCheckData': '1.0-a833e135f886527fced60d769bc2a677',
    'DestinationPrepared': '1.0-260b0c7d770e6c84d34b2693a0324de9',
    'DisksSent': '1.0-166b8bdef73c11ad23dbec572e07a145',
    'DueStep': '1.0-923928f866b2c1e2e900645e78596186',
    'Flavor': '1.0-98000f36beb2454f574525c5ea13f644',
    'GuestBuilt': '1.0-d50345fb89fb207f8a970295fbf48158',
    'GuestMigrated': '1.0-77509ea1ea0dd750d5864b9bd87d3f9d',
    'GuestReport': '1.0-cb3a053b70316bc7569649555d4ae9b2',
    'GuestState': '1.0-88476bed189284ce50f783e59139136a',
    'HostArtifact': '1.0-e539416911d24df7a09998603a43f358',
    'HostReport': '1.0-413f043f95f067219ea4c4430c8357f0',
    'HostSelected': '1.0-ee1b1970f5acacbcc0722badd3ce7c1b',
    'Instance': '1.0-eb83c3be485cb58f876a8445df45207a',
    'InstanceState': '1.0-3eb44aab94a2159db9413e9323689c34',
    'LiveMigrateArgs': '1.0-51d99a43532c83885e33538c0afae5e2',
    'LiveMigrateData': '1.0-7127c9c1caefe739dff389d565de6fdb',
    'LiveMigrateParams': '1.0-be5599e60bec01aa87632c9d7e2d06a2',
    'LiveMigrateSource': '1.0-4183634eead0a238a7dbdf02cbdc046d',
    'LiveMigrationPrepared': '1.0-51d99a43532c83885e33538c0afae5e2',
    'MigrateDisk': '1.0-2a049471968ff5d3ec0b94f625625d4d',
    'MigrateParams': '1.0-1674fe7e0c784c95a1278ace23dee950',
    'Migration': '1.0-50fc800e017b909d94febdffe96597c3',
    'NoArgs': '1.0-77509ea1ea0dd750d5864b9bd87d3f9d',
    'NoParams': '1.0-77509ea1ea0dd750d5864b9bd87d3f9d',
    'NoResult': '1.0-77509ea1ea0dd750d5864b9bd87d3f9d',
    'OperationParams': '1.0-77509ea1ea0dd750d5864b9bd87d3f9d',
    'PowerSyncParams': '1.0-0a60541aeaf1e25c40728abe9092819a',
    'QemuDestination': '1.0-f6d84a88b755517a017845674b952516',
    'QemuMigrateData': '1.0-c69a2ca8b3d1c87d22db39adc951c99a',
    'RebootStarted': '1.0-02766a68d3c73a856fc437196b748a1d',
    'RecheckArgs': '1.0-0441c2ea231ad72f2518aaecf5dacb5e',
    'RescueArgs': '1.0-4bcdcaa922588aeb063ee1b4c37db88b',
    'RescueImage': '1.0-5ace26739c6ca30b55c97c8a079375a3',
    'RescueParams': '1.0-66e7aa29d402bbe0dc083c552aa552ae',
    'ResizeInstanceArgs': '1.0-260b0c7d770e6c84d34b2693a0324de9',
    'ResizeParams': '1.0-175b8bf1e232d8cd63f2e46301c5d21a',
    'SelectHostArgs': '1.0-225fcfc4c5e553adbc68ef1af49457e0',
    'StepAck': '1.0-80bbff82dbd404c2dc88de668054ca45',
    'StepArgs': '1.0-77509ea1ea0dd750d5864b9bd87d3f9d',
    'StepAssignment': '1.0-f6b41b406ba3137a73bacf7792b088c6',
    'StepResult': '1.0-77509ea1ea0dd750d5864b9bd87d3f9d',
    'StorageProbe': '1.0-eb26d49023c7b7960ee038caa6a522f5',
    'TransferEndpoint': '1.0-58614287be3891115fb2da7050f5b29c',
    'TransferTicket': '1.0-01816e8c90fea50d37d95348759288eb',
    'UnconfirmedResizeParams': '1.0-7eb427f627591c9635326ed106d8c509',
    'UnrescuedGuestStarted': '1.0-77509ea1ea0dd750d5864b9bd87d3f9d',
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

    def test_annotations_are_the_fields(self):
        @objects_base.register
        class Sized(Object):
            VERSION = '1.0'
            flavor: objects.Flavor | None
            names: list[str]
            size: int = 3

        self.addCleanup(
            ovo_base.VersionedObjectRegistry._registry._obj_classes.pop,
            'Sized',
        )
        made = Sized(flavor=base_flavor(), names=['a'])
        back = Object.from_wire(made.to_wire())
        self.assertEqual('f', back.flavor.name)
        self.assertEqual((['a'], 3), (back.names, back.size))
        self.assertEqual(4, made.replace(size=4).size)
        self.assertRaises(TypeError, objects.Wakeup.from_wire, made.to_wire())
        self.assertRaises(ValueError, Sized, flavor=made, names=[])

    def test_unknown_annotation(self):
        class Odd(Object):
            VERSION = '1.0'
            names: set[str]

        self.assertRaises(TypeError, objects_base.register, Odd)

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
