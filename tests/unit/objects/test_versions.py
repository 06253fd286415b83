# SPDX-License-Identifier: Apache-2.0
"""The versioned objects: fingerprints and wire forms."""

import datetime

from hypothesis import given
from hypothesis import strategies
from oslo_versionedobjects import base as ovo_base
from oslo_versionedobjects import fields as ovo_fields
from oslo_versionedobjects import fixture

from minova import objects
from minova.objects import base as objects_base
from minova.objects import step_args
from minova.objects.base import Object
from minova.rpc import serializer
from tests import base

#: Version and fingerprint of each object. When the test fails, an object has
#: changed: give it a new version, convert it to the old one in
#: ``obj_make_compatible``, and change its line.
PINNED = {
    'AdminPasswordParams': '1.0-1df08e5aed63561319c0fe78524aa741',
    'BackupParams': '1.0-cdfce73ada97bc9a9a46cf38b9483ecf',
    'Checkpoint': '1.0-77509ea1ea0dd750d5864b9bd87d3f9d',
    'CleanupStaleGuestArgs': '1.0-8c7907f3dde71a5e4b9540f02de6ad89',
    'CleanupStaleGuestParams': '1.0-74eaae3ee3d746757b6fe2d16e51bf0c',
    'CpuDiagnostics': '1.0-88bbd084ea0be4e1550c9a42590952fe',
    'CrashDumpTriggered': '1.0-bfe05f50cfe512145faac5f49bacaa4d',
    'CreateParams': '1.0-3ff21a41f5a31603be42b47636c083c3',
    'DeleteParams': '1.0-bce83b6d6e0ce1484a45cfbbaa1b82c5',
    'DestCheckData': '1.0-40c594a58688a417c7ca5fca3e434d63',
    'DestinationPrepared': '1.0-afa7b3af18b12f1a6d1ade3d3e79c2ed',
    'Diagnostics': '1.0-d8df6bbd41ce24dc74bfc6698ff4cb42',
    'DiscardSnapshotParams': '1.0-068a63bfda66607b440a5cbc0cdf8597',
    'DiskDiagnostics': '1.0-746b46fb8b747585efadbf217cb15ec2',
    'DisksSent': '1.0-edd582efcaf37eda7827482ba80fa07d',
    'DueStep': '1.0-800fcf186da0d80b680db3a906e08a90',
    'EvacuateParams': '1.0-c42d098fc496ec97d52a432bd0090f51',
    'Flavor': '1.0-43b0e126768a4eb39847b9d499688249',
    'GuestBuilt': '1.0-3a7d63d58a161ad8c94f99cc55a5f56e',
    'GuestMigrated': '1.0-77509ea1ea0dd750d5864b9bd87d3f9d',
    'GuestReport': '1.0-429c5ef6e2f6ae1a857c1ef8dbf20e28',
    'GuestSettled': '1.0-46e3ae0f5a757049f58a554b22c0e838',
    'GuestState': '1.0-16e9f95d1375c90bce2633679ac38a9c',
    'GuestUntouched': '1.0-77509ea1ea0dd750d5864b9bd87d3f9d',
    'HostArtifact': '1.0-e6b4cf99a8648c709e81ad01b90da608',
    'HostFenced': '1.0-091d95fe38797cf97e13f0a2b473d9a3',
    'HostReport': '1.0-4d3cc5cdcc39683e50d1c710bd88e0e9',
    'HostSelected': '1.0-b955cd13f474c1d2303a89ad61b8fdf4',
    'Instance': '1.0-7cbbcbe66755005fc204d0ad738887c2',
    'InstanceState': '1.0-41ce3c7ff9b037c52a1869c204e254fe',
    'InterfaceParams': '1.0-0db133c095ab5083cfeb26148d278e88',
    'LiveMigrateArgs': '1.0-2c30f728ef8b18c6b5dcce0b622b1aa0',
    'LiveMigrateData': '1.0-2489e7a51e1c4d2eca2f2e7bfa6dc078',
    'LiveMigrateParams': '1.0-5af9631043a8507205f89e0e15bdd6cf',
    'LiveMigrateSource': '1.0-8e63864b18e2211d6b669c3777739007',
    'LiveMigrationPrepared': '1.0-2c30f728ef8b18c6b5dcce0b622b1aa0',
    'LockParams': '1.0-8c30431ecebb1e2526ea9a6f1f52f1f1',
    'MigrateDisk': '1.0-0e30e9bed4e990040893c2b6d61a9e45',
    'MigrateParams': '1.0-cd600947af30a3204d7bcf83e7ed48a8',
    'Migration': '1.0-f5007c6bb7979350d74a5c693ffbcff3',
    'NicDiagnostics': '1.0-9e34db0a56e8ccac72b2e32a73585bdd',
    'NoArgs': '1.0-77509ea1ea0dd750d5864b9bd87d3f9d',
    'NoParams': '1.0-77509ea1ea0dd750d5864b9bd87d3f9d',
    'NoResult': '1.0-77509ea1ea0dd750d5864b9bd87d3f9d',
    'OldDisksRetained': '1.0-d3818303ee8501619e0c0e4ab310312f',
    'OperationParams': '1.0-77509ea1ea0dd750d5864b9bd87d3f9d',
    'PasswordSet': '1.0-f0734ea639e67dfd04086643e287401d',
    'PowerSyncParams': '1.0-27d6f2cb17859460bfaf1a59996d3bc5',
    'PreemptParams': '1.0-8b531072aa4268973d3270857035c371',
    'QemuDestination': '1.0-d82a60bd294f3be08eb3834235a7854e',
    'QemuMigrateData': '1.0-567093d3dca6f7d9829e3ab9f8ca482c',
    'RebootStarted': '1.0-bfe05f50cfe512145faac5f49bacaa4d',
    'RebuildInstanceArgs': '1.0-f266bf7f21dd9593bd226378a2bb4f74',
    'RebuildParams': '1.0-6ef7607b433b8af56d089327a8209079',
    'RecheckArgs': '1.0-a0e884e4feb4d6e5a94d8f4b1a07fc11',
    'RemoveLeftoversArgs': '1.0-80cc4edb33b818fa47b1ac5e006495a0',
    'RequestSpec': '1.0-5e4e98ae5901f3db9838d1141a3045ce',
    'RescueArgs': '1.0-f266bf7f21dd9593bd226378a2bb4f74',
    'RescueImage': '1.0-372c48e1678b0eeee218020a435271cc',
    'RescueParams': '1.0-c961216d0a38817d81a40b81efa4947e',
    'ResetStateParams': '1.0-fdc8ec826a3498f7124d227aad5ba586',
    'ResizeInstanceArgs': '1.0-afa7b3af18b12f1a6d1ade3d3e79c2ed',
    'ResizeParams': '1.0-d841b1f394237a2df78b9f7e56a325e8',
    'SelectHostArgs': '1.0-0fc646ef1be7a510d6baad489c72496f',
    'SharedDisksTaken': '1.0-77509ea1ea0dd750d5864b9bd87d3f9d',
    'ShelveParams': '1.0-6b7fbbf52d95669b5a62d9e3c0284142',
    'SnapshotArgs': '1.0-2d882cf612965e7a4935cdef8e1a8beb',
    'SnapshotImage': '1.0-881dd2c78fcbfe030c7f17e7621772a5',
    'SnapshotParams': '1.0-4cb66c852fafc5ec4e6eaa0d8144a5df',
    'SnapshotTaken': '1.0-77509ea1ea0dd750d5864b9bd87d3f9d',
    'SoftDeleteParams': '1.0-39aff3f3726b85ce8c611637722939c1',
    'StepAck': '1.0-e04fb1a7538abf98736faac8f2e011ac',
    'StepArgs': '1.0-77509ea1ea0dd750d5864b9bd87d3f9d',
    'StepAssignment': '1.0-ef51d15b7b3ac69ebcf16ca754b617de',
    'StepResult': '1.0-77509ea1ea0dd750d5864b9bd87d3f9d',
    'StorageProbe': '1.0-59b02f09ed1b453c23c2886ef842e89d',
    'TransferEndpoint': '1.0-fc89db5e660d722219a757af29a2692e',
    'TransferTicket': '1.0-c3f3665341c2b5730bc84f568f62da53',
    'UnconfirmedResizeParams': '1.0-30fecb491eab16842b56104d7844a31b',
    'UnrescuedGuestStarted': '1.0-77509ea1ea0dd750d5864b9bd87d3f9d',
    'UnshelveParams': '1.0-4c2f2b5622ae7786d60ebff14b155f38',
    'UploadStarted': '1.0-77509ea1ea0dd750d5864b9bd87d3f9d',
    'Wakeup': '1.0-23b4da282b4334d8663188cc0f98f3b8',
}


def fingerprints():
    """Return the version and fingerprint of each object of Minova.

    The library's fingerprint has the kind of each field, but not the class of
    an object in it, which is added here.
    """
    checker = fixture.ObjectVersionChecker(
        {
            name: classes
            for name, classes in (
                ovo_base.VersionedObjectRegistry.obj_classes().items()
            )
            if classes[0].__module__.startswith('minova.')
        }
    )
    return checker.get_hashes(extra_data_func=field_types)


def field_types(cls):
    """Return the name and the type of each field of a class."""
    return tuple(
        (name, describe(field._type))
        for name, field in sorted(cls.fields.items())
    )


def describe(kind):
    """Return the name of a field type, with the class of its objects."""
    if isinstance(kind, ovo_fields.List):
        return f'List<{describe(kind._element_type._type)}>'
    return kind.describe()


class VersionsTest(base.TestCase):
    """An object does not change without its version."""

    def test_fingerprints(self):
        self.assertEqual(PINNED, fingerprints())

    def test_the_class_of_an_object_counts(self):
        found = fingerprints()
        self.assertNotEqual(
            found['LiveMigrateArgs'], found['DestinationPrepared']
        )
        self.assertEqual(
            (('migrate_data', 'Object<LiveMigrateData>'),),
            field_types(step_args.LiveMigrateArgs),
        )
        self.assertIn(
            ('wakeups', 'List<Object<Wakeup>>'), field_types(objects.StepAck)
        )


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
