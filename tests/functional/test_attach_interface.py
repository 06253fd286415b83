# SPDX-License-Identifier: Apache-2.0
"""Attach and detach the network interfaces of a server."""

from minova import exception
from minova import network
from minova import states
from minova.db.queries import ports
from minova.engine import begin
from minova.network import definition
from minova.network import NetworkRequest
from minova.objects.operation_params import InterfaceParams
from minova.states import PowerState
from tests.functional import audit_base
from tests.functional import base


class InterfaceCase:
    """A network, and the operations on the interfaces of a server."""

    def setUp(self):
        super().setUp()
        self.network = definition.define(
            'lan', cidr='10.0.0.0/24', bridge='br0'
        )
        definition.create(self.cloud.database, self.network)

    def allocate(self, connection, instance):
        service = network.load()
        selected = service.select(
            connection,
            instance.project_id,
            [NetworkRequest(self.network.id)],
        )
        ((nic,),) = service.allocate(
            connection, instance.project_id, selected, [instance.uuid]
        )
        return InterfaceParams(nic=nic, is_new=True)

    def attach(self, uuid, kind='attach_interface', **options):
        return self.cloud.begin(kind, uuid, self.allocate, **options)

    def detach(self, uuid, kind='detach_interface', **options):
        nic = self.nics(uuid)[-1]
        return self.cloud.begin(
            kind, uuid, lambda c, i: InterfaceParams(nic=nic), **options
        )

    def nics(self, uuid):
        return self.cloud.instance(uuid).network_info

    def held(self, uuid):
        return [
            port.mac
            for port in self.cloud.read(ports.list_all)
            if port.instance_uuid == uuid
        ]

    def assert_interfaces(self, uuid, count):
        """Instance, ports, guest and definition have the same ones."""
        macs = [nic['mac'] for nic in self.nics(uuid)]
        self.assertEqual(count, len(macs))
        self.assertEqual(sorted(macs), sorted(self.held(uuid)))
        host = self.cloud.instance(uuid).host
        guest = self.cloud.world.guest(host, uuid)
        self.assertEqual(macs, guest['spec']['macs'])
        self.assertEqual(macs, self.cloud.driver(host).interfaces(uuid))


class AttachInterfaceTest(InterfaceCase, base.FlowTestCase):
    """Each transition, and its failures."""

    def test_attach_and_detach(self):
        for kind, event in (
            ('attach_interface', 'interface_attach'),
            ('add_fixed_ip', 'create_ip'),
        ):
            uuid, host, _, since = self.booted()
            self.attach(uuid, kind)
            self.assert_emitted(
                f"""
                {event}.start [{host}]
                {event}.end [{host}]
                """,
                uuid,
                since,
            )
            self.assert_ended(uuid, states.ACTIVE)
            self.assert_interfaces(uuid, 1)
            end = self.cloud.consumer.of_instance(uuid)[-1][2]
            self.assertEqual(
                [self.nics(uuid)[0]['mac']],
                [one['vif_mac'] for one in end['fixed_ips']],
            )
        for kind, event in (
            ('detach_interface', 'interface_detach'),
            ('remove_fixed_ip', 'delete_ip'),
        ):
            since = self.count(uuid)
            self.detach(uuid, kind)
            self.assert_emitted(
                f"""
                {event}.start [{host}]
                {event}.end [{host}]
                """,
                uuid,
                since,
            )
            self.assert_ended(uuid, states.ACTIVE)
            self.assert_interfaces(uuid, 0)
            self.attach(uuid)

    def test_each_state(self):
        for action, power, vm_state in (
            ('stop', PowerState.SHUTDOWN, states.STOPPED),
            ('pause', PowerState.PAUSED, states.PAUSED),
        ):
            uuid, *_ = self.booted()
            self.cloud.begin(action, uuid)
            self.attach(uuid)
            self.attach(uuid)
            instance = self.assert_ended(uuid, vm_state)
            self.assertEqual(power, instance.power_state)
            self.assert_interfaces(uuid, 2)
            self.detach(uuid)
            self.assert_ended(uuid, vm_state)
            self.assert_interfaces(uuid, 1)

    def test_failed_attachment_releases_the_port(self):
        uuid, host, _, since = self.booted(host='a')
        self.cloud.world.inject_fault('a', 'attach_interface', 'no free port')
        self.attach(uuid)
        self.assert_emitted(
            f'interface_attach.start [{host}]\n'
            f'interface_attach.error [{host}]',
            uuid,
            since,
        )
        self.assert_ended(uuid, states.ACTIVE, 'rolled_back')
        self.assert_interfaces(uuid, 0)
        self.assertIn('no free port', self.cloud.fault(uuid)['message'])

    def test_guest_that_does_not_release_keeps_it(self):
        uuid, host, *_ = self.booted(host='a')
        self.attach(uuid)
        since = self.count(uuid)
        self.cloud.world.inject_fault('a', 'detach_interface', 'not released')
        self.detach(uuid)
        self.assert_emitted(
            f'interface_detach.start [{host}]\n'
            f'interface_detach.error [{host}]',
            uuid,
            since,
        )
        self.assert_ended(uuid, states.ACTIVE, 'rolled_back')
        self.assert_interfaces(uuid, 1)
        self.detach(uuid)
        self.assert_interfaces(uuid, 0)

    def test_nothing_else_begins_meanwhile(self):
        uuid, *_ = self.booted(host='a')
        self.cloud.stop(self.cloud.computes['a'])
        self.attach(uuid, wait=False)
        instance = self.cloud.instance(uuid)
        self.assertIsNone(instance.task_state)
        self.assertIsNotNone(instance.task_id)
        for kind in ('live_migrate', 'reboot_hard', 'detach_interface'):
            error = self.assertRaises(
                exception.InstanceInvalidState, self.begin_checked, kind, uuid
            )
            self.assertIn('when that operation has ended', str(error))
        self.cloud.start_compute('a')
        self.cloud.settle(uuid)
        self.assert_ended(uuid, states.ACTIVE)
        self.assert_interfaces(uuid, 1)

    def begin_checked(self, kind, uuid):
        self.cloud.database.write(
            lambda connection: states.check_begin(
                kind, self.cloud.instance(uuid)
            )
        )

    def test_delete_preempts_and_releases(self):
        uuid, *_ = self.booted(host='a')
        self.cloud.stop(self.cloud.computes['a'])
        self.attach(uuid, wait=False)
        self.assertEqual(1, len(self.held(uuid)))
        self.cloud.begin('force_delete', uuid, begin.delete_params, wait=False)
        self.assertEqual([], self.held(uuid))
        self.cloud.start_compute('a')

    def test_moves_and_reboots_keep_it(self):
        uuid, *_ = self.booted(host='a')
        self.attach(uuid)
        self.cloud.begin('live_migrate', uuid)
        self.assertEqual('b', self.cloud.instance(uuid).host)
        self.assert_interfaces(uuid, 1)
        self.cloud.begin('reboot_hard', uuid)
        self.assert_interfaces(uuid, 1)
        self.detach(uuid)
        self.cloud.begin('reboot_hard', uuid)
        self.assert_interfaces(uuid, 0)
        self.attach(uuid)
        big = self.cloud.flavor('big', id=2, memory_mb=1024, root_gb=5)
        self.cloud.resize(uuid, big)
        self.assert_interfaces(uuid, 1)

    def test_hard_reboot_renews_the_config_drive(self):
        self.config(group='compute', force_config_drive=True)
        uuid, *_ = self.booted(host='a')

        def macs():
            drive = self.cloud.world.get_disks('a', uuid)
            return drive['config_drive']['macs']

        self.attach(uuid)
        self.assertEqual([], macs())
        self.cloud.begin('reboot_hard', uuid)
        self.assertEqual(self.held(uuid), macs())


class AuditInterfacesTest(InterfaceCase, audit_base.AuditTestCase):
    """The audit finds what differs, and its repair ends the difference."""

    def test_missing_and_unknown_interfaces(self):
        uuid = self.cloud.boot(host='a')
        self.attach(uuid)
        self.assert_clean()
        record = self.cloud.world.guest('a', uuid)
        path = f'a/guests/{uuid}'
        for macs, rule in (
            ([], 'interface_missing'),
            ([*record['macs'], 'fa:16:3e:00:00:99'], 'interface_unknown'),
        ):
            self.store.put(path, record | {'macs': macs})
            self.assert_repaired(rule)
            self.assert_interfaces(uuid, 1)

    def test_suspended_server_is_left_to_the_operator(self):
        uuid = self.cloud.boot(host='a')
        self.attach(uuid)
        self.cloud.begin('suspend', uuid)
        record = self.cloud.world.guest('a', uuid)
        changed = record['spec'] | {'macs': []}
        self.store.put(f'a/guests/{uuid}', record | {'spec': changed})
        self.assert_left('interface_missing')


class AttachInterfaceRecoveryTest(InterfaceCase, base.RecoveryTestCase):
    """A host that dies before or after the change of the guest."""

    def test_attach_interface(self):
        for before in (True, False):
            uuid = self.cloud.boot(host='a')
            crashing = self.crash_at('a', 'attach_interface', before)
            self.attach(uuid, wait=False)
            self.assertTrue(crashing.crashed.wait(10))
            self.restart('a')
            self.cloud.settle(uuid)
            self.assert_interfaces(uuid, 1)

    def test_detach_interface(self):
        for before in (True, False):
            uuid = self.cloud.boot(host='a')
            self.attach(uuid)
            crashing = self.crash_at('a', 'detach_interface', before)
            self.detach(uuid, wait=False)
            self.assertTrue(crashing.crashed.wait(10))
            self.restart('a')
            self.cloud.settle(uuid)
            self.assert_interfaces(uuid, 0)
