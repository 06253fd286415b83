# SPDX-License-Identifier: Apache-2.0
"""Wake-ups: sent under the method of their step, and run by it."""

from minova import exception
from minova.context import Context
from minova.flows import interfaces
from minova.objects.step import Wakeup
from minova.rpc import contract
from minova.rpc.wakeups import Waker
from tests import base
from tests.fixtures import senders


class Bus:
    """Keeps the messages, or refuses them."""

    def __init__(self, error=None):
        self.error = error
        self.sent = []

    def cast(self, message):
        if self.error is not None:
            raise self.error
        self.sent.append(message)


def wakeup(method, topic, host=None):
    return Wakeup(step='s1', method=method, topic=topic, host=host)


class WakerTest(base.TestCase):
    """What a waker sends."""

    def wake(self, bus, *wakeups):
        Waker(interfaces.step_client(bus, senders.control_plane())).wake(
            Context(), wakeups
        )

    def test_each_under_the_method_of_its_step(self):
        bus = Bus()
        self.wake(
            bus,
            wakeup('build_instances', 'conductor'),
            wakeup('migrate_server', 'conductor'),
            wakeup('start_instance', 'compute', 'a'),
        )
        self.assertEqual(
            [
                ('conductor', None, 'build_instances', '1.0'),
                ('conductor', None, 'migrate_server', '1.4'),
                ('compute', 'a', 'start_instance', '1.0'),
            ],
            [(m.topic, m.server, m.method, m.version) for m in bus.sent],
        )
        for message in bus.sent:
            self.assertEqual({'step': 's1'}, message.arguments)

    def test_undeliverable_is_logged(self):
        bus = Bus(exception.NoConsumer(what='compute', reason='none there'))
        self.wake(bus, wakeup('start_instance', 'compute', 'a'))
        self.assertIn('wake-up not delivered', self.log.output)
        self.assertIn('start_instance on a', self.log.output)


class StepDispatchTest(base.TestCase):
    """What a service does with the method of a step."""

    class Conductor:
        def __init__(self):
            self.migrated = []

        def migrate_server(self, context, **arguments):
            self.migrated.append(arguments)

    def setUp(self):
        super().setUp()
        self.started = []
        self.conductor = self.Conductor()
        self.dispatcher = contract.Dispatcher(
            interfaces.CONDUCTOR,
            self.conductor,
            senders.AcceptAll(),
            'c0',
            handle_step=self.handle_step,
        )

    def handle_step(self, context, method, step):
        self.started.append((method.name, step))

    def dispatch(self, method, **arguments):
        return self.dispatcher.dispatch(method, Context().to_dict(), arguments)

    def test_a_step_without_a_method_of_its_own(self):
        self.assertIsNone(self.dispatch('build_instances', step='s1'))
        self.assertEqual([('build_instances', 's1')], self.started)

    def test_a_wakeup_for_migrate_server(self):
        self.dispatch('migrate_server', step='s1')
        self.assertEqual([('migrate_server', 's1')], self.started)
        self.assertEqual([], self.conductor.migrated)

    def test_a_call_of_migrate_server(self):
        self.dispatch('migrate_server', instance={}, live=True, step='s1')
        self.assertEqual([], self.started)
        self.assertEqual(
            [{'instance': {}, 'live': True, 'step': 's1'}],
            self.conductor.migrated,
        )
