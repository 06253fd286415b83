# SPDX-License-Identifier: Apache-2.0
"""The RPC interfaces: pinned versions, and the same form at both ends."""

import hashlib
import inspect
from typing import Protocol

from minova import exception
from minova import flows
from minova import objects
from minova.compute.manager import ComputeManager
from minova.conductor.manager import ConductorManager
from minova.context import Context
from minova.engine import begin
from minova.exception import serialization
from minova.flows import interfaces
from minova.flows.base import ComputeStep
from minova.objects import base as objects_base
from minova.objects.base import Object
from minova.objects.instance import Instance
from minova.rpc import compute
from minova.rpc import conductor
from minova.rpc import contract
from minova.rpc import serializer
from minova.rpc.proof import Caller
from tests import base
from tests.fixtures import senders
from tests.fixtures.cloud import Cloud
from tests.fixtures.newer_methods import NewerMethods

#: The fingerprint of each interface at each version. When a test here fails,
#: the interface has changed: give it a new version, add the version to the
#: table in the docstring of its module, and add a line here. Never change the
#: line of a released version.
PINNED = {
    ('conductor', '1.0'): '4c5661539df3ad9e',
    ('conductor', '1.4'): '637a8f49bdbbe08a',
    ('conductor', '1.6'): '637a8f49bdbbe08a',
    ('compute', '1.0'): 'df05197d83109e3c',
}


def fingerprint(interface, version):
    """Return the fingerprint of the methods that ``version`` has."""
    methods = interface.methods()
    known = [
        (name, text)
        for name, text in sorted(interface.fingerprints().items())
        if contract.parse(methods[name].since) <= contract.parse(version)
    ]
    text = repr(known)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


class PinsTest(base.TestCase):
    """An interface does not change without its version."""

    INTERFACES = {
        one.topic: one for one in (interfaces.CONDUCTOR, interfaces.COMPUTE)
    }

    def test_fingerprints(self):
        # Older versions too: their methods do not change.
        found = {
            (topic, version): fingerprint(self.INTERFACES[topic], version)
            for topic, version in PINNED
        }
        self.assertEqual(PINNED, found)

    def test_the_newest_version_is_pinned(self):
        for topic, interface in self.INTERFACES.items():
            self.assertIn((topic, interface.version), PINNED)
            newest = max(
                (method.since for method in interface.methods().values()),
                key=contract.parse,
            )
            self.assertLessEqual(
                contract.parse(newest), contract.parse(interface.version)
            )

    def test_the_ends_agree(self):
        for interface, manager in (
            (conductor.INTERFACE, ConductorManager),
            (compute.INTERFACE, ComputeManager),
        ):
            for name in interface.methods():
                declared = getattr(interface.protocol, name)
                serving = getattr(manager, name)
                self.assertEqual(
                    inspect.signature(declared),
                    inspect.signature(serving),
                    name,
                )

    def test_every_step_is_a_method(self):
        for flow in flows.FLOWS.values():
            for step in flow.steps:
                on_host = issubclass(step, ComputeStep)
                interface = self.INTERFACES[
                    'compute' if on_host else 'conductor'
                ]
                method = interface.steps[step.method]
                self.assertEqual(step.reply_timeout, method.timeout)
                self.assertEqual(
                    ['step'], interface.parameters(step.method)[-1:]
                )

    def test_only_nested_steps_reply(self):
        nested, replying = set(), set()
        for flow in flows.FLOWS.values():
            for step in flow.steps:
                nested.update(getattr(step, 'nested_steps', ()))
                if step.reply_timeout is not None:
                    replying.add(step)
        self.assertEqual(nested, replying)


class Recorder:
    """A bus that records the messages."""

    def __init__(self, answer=None):
        self.sent = []
        self.answer = answer or {'result': None}

    def call(self, message):
        self.sent.append(message)
        return self.answer

    cast = call


@objects_base.register
class Part(Object):
    """An object that got a second field with 1.1."""

    VERSION = '1.1'
    old: str
    late: str

    def obj_make_compatible(self, primitive, target_version):
        super().obj_make_compatible(primitive, target_version)
        if target_version == '1.0':
            primitive.pop('late', None)


@objects_base.register
class Whole(Object):
    """An object that contains a part."""

    VERSION = '1.1'
    part: Part


class Parts(Protocol):
    """An interface whose objects have changed."""

    @contract.call(Caller.ANYONE)
    def swap(self, context, *, whole):
        """Take an object and return one."""


class ObjectVersionsTest(base.TestCase):
    """A changed object is sent in the form of the pinned version."""

    interface = contract.Interface(
        Parts,
        'parts',
        '1.3',
        objects=(('1.2', {'Part': '1.1'}), ('1.3', {'Whole': '1.1'})),
    )

    def versions(self, form):
        """Return the versions of whole and part, and the part's fields."""
        part = form['minova_object.data']['part']
        return (
            form['minova_object.version'],
            part['minova_object.version'],
            sorted(part['minova_object.data']),
        )

    def test_requests_and_replies(self):
        whole = Whole(part=Part(old='o', late='l'))

        class Swapper:
            def swap(self, context, *, whole):
                return whole

        for pin, expected in (
            (None, ('1.1', '1.1', ['late', 'old'])),
            ('1.3', ('1.1', '1.1', ['late', 'old'])),
            ('1.2', ('1.0', '1.1', ['late', 'old'])),
            ('1.1', ('1.0', '1.0', ['old'])),
        ):
            bus = Recorder()
            contract.Client(self.interface, bus, pin=pin).swap(
                Context(), whole=whole
            )
            (message,) = bus.sent
            self.assertEqual(
                expected, self.versions(message.arguments['whole']), pin
            )
            answer = contract.Dispatcher(
                self.interface, Swapper(), senders.AcceptAll(), 'c0', pin
            ).dispatch(
                'swap',
                Context().to_dict(),
                {'whole': serializer.encode(whole)},
            )
            self.assertEqual(expected, self.versions(answer['result']), pin)

    def test_fingerprint_error_names_the_method(self):
        """The interfaces list every object beyond 1.0 with its version."""
        said = {}
        for interface in (conductor.INTERFACE, compute.INTERFACE):
            said |= interface.objects_at(interface.version)
        changed = {
            name: getattr(objects, name).VERSION
            for name in objects.__all__
            if getattr(objects, name).VERSION != '1.0'
        }
        self.assertEqual(changed, said)


class ClientTest(base.TestCase):
    """The messages of a client."""

    def instance(self):
        context = Context(user_id='u', project_id='p')
        return begin.new_instance(
            context,
            Cloud.flavor(None),
            display_name='x',
            hostname='x',
            reservation_id='r',
            image_ref='',
        )

    def migrate(self, bus):
        instance = self.instance()
        conductor.client(bus, senders.control_plane()).migrate_server(
            Context(request_id='req-1'),
            instance=instance,
            scheduler_hint={'host': 'b'},
            live=True,
            flavor=None,
            block_migration=None,
            disk_over_commit=False,
            step='s',
        )
        (message,) = bus.sent
        return instance, message

    def test_migrate_server_as_object(self):
        instance, message = self.migrate(Recorder())
        self.assertEqual('1.6', message.version)
        sent = message.arguments['instance']
        self.assertEqual('Instance', sent['minova_object.name'])
        self.assertEqual('1.0', sent['minova_object.version'])
        self.assertEqual(instance.uuid, serializer.decode(sent).uuid)
        self.assertEqual({'host': 'b'}, message.arguments['scheduler_hint'])
        self.assertEqual('req-1', message.context['request_id'])

    def test_migrate_server_as_dict_when_pinned(self):
        self.config(group='upgrade_levels', conductor='1.4')
        instance, message = self.migrate(Recorder())
        self.assertEqual('1.4', message.version)
        sent = message.arguments['instance']
        self.assertEqual(instance.uuid, sent['uuid'])
        self.assertEqual('building', sent['vm_state'])
        self.assertEqual(512, sent['flavor']['memory_mb'])
        self.assertNotIn('minova_object.name', repr(sent))
        self.assertIsInstance(sent['created_at'], str)

    def test_newer_arguments_are_not_sent_when_pinned(self):
        self.config(group='upgrade_levels', conductor='1.3')
        bus = Recorder()
        client = conductor.client(bus, senders.control_plane())
        self.assertTrue(client.can_send('1.3'))
        self.assertFalse(client.can_send('1.4'))
        error = self.assertRaises(exception.Unavailable, self.migrate, bus)
        self.assertIn('pinned to 1.3', str(error))
        self.assertEqual([], bus.sent)
        self.config(group='upgrade_levels', conductor='1.4')
        self.migrate(bus)
        self.assertEqual(1, len(bus.sent))

    def test_old_compute_is_not_asked_for_host_contents(self):
        self.useFixture(NewerMethods('list_host_contents'))
        self.config(group='upgrade_levels', compute='1.0')
        bus = Recorder()
        error = self.assertRaises(
            exception.Unavailable,
            compute.ComputeClients(bus, senders.control_plane())
            .for_host('a')
            .list_host_contents,
            Context(),
        )
        self.assertIn('it came with version 1.1', str(error))
        self.assertEqual([], bus.sent)
        self.config(group='upgrade_levels', compute=None)
        bus.answer = {'result': []}
        compute.ComputeClients(bus, senders.control_plane()).for_host(
            'a'
        ).list_host_contents(Context())
        (message,) = bus.sent
        self.assertEqual(('1.1', 'a'), (message.version, message.server))

    def test_other_major_version_is_refused(self):
        client = contract.Client(conductor.INTERFACE, Recorder(), pin='2.0')
        self.assertFalse(client.can_send('1.0'))

    def test_errors_are_rebuilt(self):
        error = exception.NoValidHost(reason='all full')
        bus = Recorder({'error': serialization.encode(error)})
        raised = self.assertRaises(exception.NoValidHost, self.migrate, bus)
        self.assertEqual(str(error), str(raised))
        self.assertEqual(400, raised.status)

    def test_an_error_that_came_later_travels_as_what_it_is_one_of(self):
        # A service of the release before asks again when something is
        # unavailable, and takes a class that it does not know for a failure.
        for late in (
            exception.CommitUncertain,
            exception.NoConsumer,
            exception.RpcTimeout,
            exception.UnsupportedVersion,
        ):
            form = serialization.encode(late(what='x', reason='y'))
            self.assertEqual('Unavailable', form['class'])
            raised = serialization.decode(form)
            self.assertIs(exception.Unavailable, type(raised))
            self.assertEqual('x is unavailable at this time: y', str(raised))

    def test_a_compute_speaks_to_itself_unpinned(self):
        self.useFixture(NewerMethods('ping'))
        self.config(group='upgrade_levels', compute='1.0')
        bus = Recorder({'result': 'this one'})
        self.assertEqual(
            'this one',
            compute.self_client(bus, senders.control_plane(), 'a').ping(
                Context()
            ),
        )
        self.assertRaises(
            exception.Unavailable,
            compute.ComputeClients(bus, senders.control_plane())
            .for_host('a')
            .ping,
            Context(),
        )

    def test_foreign_errors_are_quoted(self):
        form = serialization.encode(ZeroDivisionError('by zero'))
        raised = serialization.decode(form)
        self.assertIsInstance(raised, exception.OperationFailed)
        self.assertEqual('ZeroDivisionError: by zero', str(raised))

    def test_only_our_own_errors_are_rebuilt(self):
        for name in ('SystemExit', 'Any', 'MinovaException.__init__', None):
            raised = serialization.decode(
                {'class': name, 'message': 'm', 'kwargs': {}}
            )
            self.assertIsInstance(raised, exception.OperationFailed)

    def test_dispatch_answers_with_errors(self):
        class Broken:
            def heartbeat(self, context, *, host, incarnation):
                if host == 'refused':
                    raise exception.Stale(what='x', holder='y')
                raise ZeroDivisionError('by zero')

        dispatcher = contract.Dispatcher(
            conductor.INTERFACE, Broken(), senders.AcceptAll(), 'c0'
        )
        context = Context().to_dict()
        for host, name in (
            ('refused', 'Stale'),
            ('broken', 'OperationFailed'),
        ):
            answer = dispatcher.dispatch(
                'heartbeat', context, {'host': host, 'incarnation': 'i'}
            )
            self.assertEqual(name, answer['error']['class'])
        self.assertIn('ZeroDivisionError', self.log.output)


class OverTheBusTest(base.TestCase):
    """The pinned form works against the newest conductor."""

    def test_a_service_of_an_older_release(self):
        """Without a pin, and a server without the method."""

        class Older:
            def guest_power_state(self, context, *, instance_uuid):
                return 1

        cloud = self.useFixture(Cloud(hosts=()))
        self.useFixture(NewerMethods('get_console_output'))
        for name, version in (('newer version', '1.0'), ('no method', '1.9')):
            host = name.split()[0]
            served = contract.Dispatcher(
                compute.INTERFACE, Older(), senders.AcceptAll(), host
            )
            server = cloud.bus.serve(
                compute.TOPIC,
                host,
                version,
                ['guest_power_state'],
                served.dispatch,
            )
            server.start()
            self.addCleanup(server.stop)
            client = cloud.computes_client.for_host(host)
            error = self.assertRaises(
                exception.UnsupportedVersion,
                client.get_console_output,
                Context(),
                instance_uuid='u',
                lines=None,
            )
            self.assertEqual(501, error.status)
            self.assertIn('no method get_console_output', str(error))
            self.assertEqual(
                1, client.guest_power_state(Context(), instance_uuid='u')
            )

    def test_pinned_to_dicts(self):
        self.config(group='upgrade_levels', conductor='1.4')
        cloud = self.useFixture(Cloud())
        uuid = cloud.boot(host='a')
        instance = cloud.begin('live_migrate', uuid)
        self.assertEqual('b', instance.host)

    def test_migrate_server_without_operation_begins_one(self):
        cloud = self.useFixture(Cloud())
        uuid = cloud.boot(host='a')
        for form in (dict, Instance):
            instance = cloud.instance(uuid)
            source = instance.host
            cloud.conductor.migrate_server(
                cloud.context(),
                instance={'uuid': uuid} if form is dict else instance,
                scheduler_hint={'host': 'b' if source == 'a' else 'a'},
                live=True,
                flavor=None,
                block_migration=None,
                disk_over_commit=False,
            )
            self.assertNotEqual(source, cloud.settle(uuid).host)
