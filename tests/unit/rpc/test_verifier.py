# SPDX-License-Identifier: Apache-2.0
"""Messages that are refused, for each method of both interfaces."""

import dataclasses

import fixtures

from minova import clock
from minova import exception
from minova.context import Context
from minova.exception import serialization
from minova.flows import interfaces
from minova.rpc import contract
from minova.rpc import proof as proofs
from minova.rpc import verifier
from minova.rpc.proof import Caller
from minova.rpc.verifier import Received
from tests import base
from tests.fixtures import senders

INTERFACES = (interfaces.CONDUCTOR, interfaces.COMPUTE)
#: The host that serves an interface in these tests.
SERVERS = {'conductor': 'c0', 'compute': 'b'}
#: The methods without a proof, which have a secret of their own.
WITHOUT_PROOF = {'check_console', 'closed_consoles'}


def methods():
    """Return each method of each interface that needs a proof."""
    return [
        (interface, method)
        for interface in INTERFACES
        for name, method in sorted(interface.methods().items())
        if name not in WITHOUT_PROOF
    ]


def report(host='a', incarnation='i1'):
    """Return the report of a host in its wire form, without the rest."""
    return {
        'minova_object.name': 'HostReport',
        'minova_object.version': '1.0',
        'minova_object.data': {'host': host, 'incarnation': incarnation},
    }


class VerifierTestCase(base.TestCase):
    """A verifier that knows the hosts a and b."""

    def setUp(self):
        super().setUp()
        self.keys = senders.Keys('a', 'b')
        self.verifier = self.restarted()

    def restarted(self):
        """Return the verifier of another server of the topic."""
        return verifier.Verifier(self.keys, self.keys)

    def arguments(self, interface, name):
        """Return arguments of a method, as host a sends them."""
        known = {
            'host': 'a',
            'incarnation': 'i1',
            'report': report(),
            'public_key': self.keys.hosts['a'].public_key,
        }
        return {
            name: known.get(name, f'any {name}')
            for name in interface.parameters(name)
        }

    def host_of(self, method):
        """Return a host that may call a method, None: the control plane."""
        if Caller.CONTROL_PLANE in method.callers:
            return None
        return 'b' if Caller.SAME_HOST in method.callers else 'a'

    def message(self, interface, method, host=None, **changes):
        """Return a message as it arrives, signed and then changed."""
        server = SERVERS[interface.topic]
        signer = changes.pop('signer', None) or self.keys.signer(
            host or self.host_of(method)
        )
        context, arguments = signer.sign(
            interface.topic,
            changes.pop('to', server),
            method.name,
            Context(request_id='req-1').to_dict(),
            changes.pop('says', None)
            or self.arguments(interface, method.name),
        )
        received = Received(
            topic=interface.topic,
            server=server,
            method=method.name,
            callers=method.callers,
            once=method.once,
            context=context,
            arguments=arguments,
        )
        return dataclasses.replace(received, **changes)

    def assert_refused(self, text, message, by=None):
        error = self.assertRaises(
            exception.MessageRefused,
            (by or self.verifier).verify,
            message,
        )
        self.assertIn(text, str(error), message.method)


class EachMethodTest(VerifierTestCase):
    """What no method accepts; a new method is among them."""

    def test_callers_are_declared(self):
        for interface in INTERFACES:
            for name, method in interface.methods().items():
                self.assertTrue(method.callers, name)
                self.assertEqual(
                    name in WITHOUT_PROOF, Caller.ANYONE in method.callers
                )

    def test_a_message_to_the_conductor_names_its_host(self):
        for name, method in interfaces.CONDUCTOR.methods().items():
            if {Caller.COMPUTE, Caller.NEW_HOST} & set(method.callers):
                named = interfaces.CONDUCTOR.parameters(name)
                self.assertTrue({'host', 'report'} & set(named), name)

    def test_a_compute_records_no_messages_of_one_use(self):
        for name, method in interfaces.COMPUTE.methods().items():
            self.assertFalse(method.once, name)

    def test_a_proven_message_is_accepted(self):
        for interface, method in methods():
            self.verifier.verify(self.message(interface, method))

    def test_no_proof(self):
        for interface, method in methods():
            message = self.message(interface, method)
            message.context.pop(proofs.MEMBER)
            self.assert_refused('no proof', message)

    def test_a_proof_of_another_form(self):
        for wrong in (None, 'x', [], {}, {'host': 'a'}):
            for interface, method in methods():
                message = self.message(interface, method)
                message.context[proofs.MEMBER] = wrong
                self.assert_refused('proof', message)

    def test_each_member_of_the_proof_counts(self):
        wrong = {
            'sender': 'other',
            'host': 'other',
            'incarnation': 'other',
            'number': 10**6,
            'time': 1.0,
            'server': 'other',
            'signature': 'b3RoZXI=',
        }
        for interface, method in methods():
            for name, value in wrong.items():
                message = self.message(interface, method)
                message.context[proofs.MEMBER][name] = value
                self.assertRaises(
                    exception.MessageRefused, self.verifier.verify, message
                )

    def test_a_changed_body(self):
        for interface, method in methods():
            message = self.message(interface, method)
            changed = message.arguments | {'more': 1}
            self.assert_refused(
                'signature',
                dataclasses.replace(message, arguments=changed),
            )

    def test_a_changed_context(self):
        for interface, method in methods():
            message = self.message(interface, method)
            changed = message.context | {'project_id': 'victim'}
            self.assert_refused(
                'signature', dataclasses.replace(message, context=changed)
            )

    def test_another_method(self):
        for interface, method in methods():
            message = self.message(interface, method)
            self.assert_refused(
                'signature', dataclasses.replace(message, method='other')
            )

    def test_another_topic(self):
        for interface, method in methods():
            message = self.message(interface, method)
            self.assert_refused(
                'signature', dataclasses.replace(message, topic='other')
            )

    def test_sent_to_another_host(self):
        for interface, method in methods():
            self.assert_refused(
                'was sent to host other',
                self.message(interface, method, to='other'),
            )

    def test_a_replay(self):
        for interface, method in methods():
            message = self.message(interface, method)
            self.verifier.verify(message)
            self.assert_refused('arrived before', message)

    def test_a_message_of_one_use_at_another_server(self):
        for interface, method in methods():
            message = self.message(interface, method)
            self.verifier.verify(message)
            if method.once:
                self.assert_refused(
                    'arrived before', message, self.restarted()
                )

    def test_an_old_message(self):
        for interface, method in methods():
            if Caller.NEW_HOST in method.callers:
                continue
            message = self.message(interface, method)
            self.keys.ahead = verifier.MAX_AGE + 10
            self.assert_refused('given it up', message, self.restarted())
            self.keys.ahead = -verifier.MAX_AHEAD - 10
            self.assert_refused('ahead', message, self.restarted())
            self.keys.ahead = 0

    def test_a_slow_queue(self):
        """A message that is as old as any caller waits is accepted."""
        for interface, method in methods():
            message = self.message(interface, method)
            self.keys.ahead = 100
            self.verifier.verify(message)
            self.keys.ahead = 0
            self.assertLess(method.timeout or 0, 100)

    def test_a_sender_of_the_other_kind(self):
        for interface, method in methods():
            if Caller.CONTROL_PLANE not in method.callers:
                message = self.message(
                    interface, method, signer=self.keys.signer()
                )
                self.assert_refused('may not call it', message)
            is_of_computes = {
                Caller.COMPUTE,
                Caller.NEW_HOST,
            } & set(method.callers)
            if not is_of_computes:
                message = self.message(interface, method, host='a')
                self.assert_refused('may not call it', message)

    def test_the_key_of_another_host(self):
        """Host b signs with its own key, and says that it is a."""
        for interface, method in methods():
            if self.host_of(method) != 'a':
                continue
            impostor = senders.Keys('a')
            message = self.message(
                interface, method, signer=impostor.signer('a')
            )
            self.assert_refused('not that of the key of host a', message)

    def test_a_control_plane_of_its_own(self):
        for interface, method in methods():
            if self.host_of(method) is not None:
                continue
            message = self.message(
                interface, method, signer=senders.control_plane()
            )
            self.assert_refused('the key of the control plane', message)

    def test_the_incarnation_of_a_victim(self):
        """Host b, with its own key, speaks for a or its incarnation."""
        for name, method in interfaces.CONDUCTOR.methods().items():
            if Caller.COMPUTE not in method.callers:
                continue
            own = self.arguments(interfaces.CONDUCTOR, name)
            if 'host' in own:
                own['host'] = 'b'
            own['report'] = report('b', 'ib')
            changes = {'host': {'host': 'a'}, 'report': {'report': report()}}
            if 'incarnation' in own:
                changes['incarnation'] = {'incarnation': 'i1'}
                own['incarnation'] = 'ib'
            if 'host' not in own:
                del changes['host']
            signer = self.keys.signer('b', 'ib')
            self.verifier.verify(
                self.message(
                    interfaces.CONDUCTOR, method, signer=signer, says=own
                )
            )
            for change in changes.values():
                message = self.message(
                    interfaces.CONDUCTOR,
                    method,
                    signer=signer,
                    says=own | change,
                )
                self.assert_refused('and its sender is', message)

    def test_a_report_of_another_form(self):
        method = interfaces.CONDUCTOR.methods()['register_host']
        for wrong in ('x', [report('b')], {'minova_object.name': 'Step'}):
            message = self.message(
                interfaces.CONDUCTOR, method, says={'report': wrong}
            )
            self.assert_refused('not one of a host', message)


class UnknownSendersTest(VerifierTestCase):
    """What happens without the key of the sender."""

    def test_unknown_host(self):
        stranger = senders.Keys('c').signer('c')
        method = interfaces.CONDUCTOR.methods()['heartbeat']
        message = self.message(
            interfaces.CONDUCTOR,
            method,
            signer=stranger,
            says={'host': 'c', 'incarnation': 'i1'},
        )
        self.assert_refused('unknown', message)

    def test_another_key_of_a_new_host(self):
        """A host shows the key with which it signs, and no other."""
        method = interfaces.CONDUCTOR.methods()['enroll_host']
        says = self.arguments(interfaces.CONDUCTOR, 'enroll_host')
        says['public_key'] = self.keys.hosts['b'].public_key
        message = self.message(interfaces.CONDUCTOR, method, says=says)
        self.assert_refused('signature', message)
        for wrong in (None, '', 'x', 'Zm9v', ['a']):
            says['public_key'] = wrong
            message = self.message(interfaces.CONDUCTOR, method, says=says)
            self.assert_refused('signature', message)


class LogTest(VerifierTestCase):
    """Refused messages in the log."""

    def test_once_a_minute_for_each_host(self):
        now = 1000.0
        self.useFixture(
            fixtures.MockPatchObject(clock, 'monotonic', lambda: now)
        )
        method = interfaces.CONDUCTOR.methods()['heartbeat']

        def refuse(host):
            says = {'host': 'victim', 'incarnation': 'i1'}
            message = self.message(
                interfaces.CONDUCTOR, method, host=host, says=says
            )
            self.assert_refused('names the host', message)

        for _ in range(5):
            refuse('a')
        refuse('b')
        text = 'Message heartbeat in the name of a refused: it names the host'
        self.assertEqual(1, self.log.output.count(text))
        self.assertEqual(2, self.log.output.count('in the name of'))
        now += 61
        refuse('a')
        self.assertEqual(2, self.log.output.count(text))

    def test_a_hostile_name(self):
        method = interfaces.CONDUCTOR.methods()['heartbeat']
        message = self.message(interfaces.CONDUCTOR, method)
        message.context[proofs.MEMBER]['host'] = 'a\nforged line' + 'x' * 999
        self.assertRaises(
            exception.MessageRefused, self.verifier.verify, message
        )
        self.assertNotIn('\nforged', self.log.output)
        self.assertNotIn('x' * 65, self.log.output)


class MemoryTest(VerifierTestCase):
    """What the verifier keeps of messages."""

    def test_old_messages_are_forgotten(self):
        now = 1000.0
        self.useFixture(
            fixtures.MockPatchObject(clock, 'monotonic', lambda: now)
        )
        seen = verifier._Seen()
        for number in range(100):
            self.assertTrue(seen.add(proofs.digest(b'%d' % number)))
        now += verifier.MAX_AGE + verifier.MAX_AHEAD + 1
        self.assertFalse(seen.add(proofs.digest(b'1')))
        now += verifier.MAX_AGE + verifier.MAX_AHEAD + 1
        seen.add(proofs.digest(b'later'))
        self.assertEqual(1, len(seen._newer))
        self.assertLessEqual(len(seen._older), 1)


class DispatcherTest(VerifierTestCase):
    """The one place is before every method."""

    def test_a_refused_message_reaches_no_method(self):
        class Nothing:
            def __getattr__(self, name):
                raise AssertionError(f'{name} is called')

        def handle_step(context, method, step):
            raise AssertionError(f'{method.name} is called')

        for interface, method in methods():
            dispatcher = contract.Dispatcher(
                interface,
                Nothing(),
                self.verifier,
                SERVERS[interface.topic],
                handle_step=handle_step,
            )
            answer = dispatcher.dispatch(
                method.name,
                Context().to_dict(),
                self.arguments(interface, method.name),
            )
            error = serialization.decode(answer['error'])
            self.assertIsInstance(error, exception.MessageRefused)
            self.assertIsInstance(error, exception.Unavailable)
