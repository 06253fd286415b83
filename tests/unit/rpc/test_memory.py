# SPDX-License-Identifier: Apache-2.0
"""The memory driver, where possible through oslo.messaging.

Not through stevedore: the driver is made here, so that the tests need no
installed entry point; one test holds the entry in setup.cfg to the class.
"""

import minova  # isort: skip  (it keeps eventlet out of oslo.messaging)

import collections
import configparser
import logging
import pathlib
import threading
import time

import fixtures
from futurist import _thread as futurist_thread
from oslo_config import cfg
from oslo_config import fixture as config_fixture
from oslo_context import context
import oslo_messaging
from oslo_messaging import transport as messaging_transport
import testtools

from minova import exception
from minova.rpc import memory

URL = 'memory://test/'
CTXT = {'request_id': 'req-1'}
MUST_ARRIVE = oslo_messaging.TransportOptions(at_least_once=True)
LONG = 5


class Unserializable:
    """A value that is not JSON."""


class Endpoint:
    """Records the arguments of each message."""

    def __init__(self, name=''):
        self.name = name
        self.seen = []
        self.contexts = []
        self.changed = threading.Condition()

    def note(self, ctxt, what=None):
        with self.changed:
            self.contexts.append(ctxt)
            self.seen.append(what)
            self.changed.notify_all()

    def name_of(self, ctxt):
        return self.name

    def echo(self, ctxt, what):
        return what

    def spoil(self, ctxt, what):
        what['list'].append('spoilt')
        ctxt['request_id'] = 'spoilt'

    def keep(self, ctxt):
        self.kept = {'list': []}
        return self.kept

    def unserializable(self, ctxt):
        return Unserializable()

    def fail_unserializably(self, ctxt):
        raise ValueError(Unserializable())

    def refuse(self, ctxt):
        raise exception.Refused('not now')

    @oslo_messaging.expected_exceptions(exception.Refused)
    def refuse_as_expected(self, ctxt):
        raise exception.Refused('not now')

    def wait_for(self, count, timeout=LONG):
        """Wait for ``count`` messages; return those that arrived."""
        with self.changed:
            self.changed.wait_for(lambda: len(self.seen) >= count, timeout)
            return list(self.seen)


class NotificationEndpoint(Endpoint):
    def info(self, ctxt, publisher_id, event_type, payload, metadata):
        self.note(ctxt, payload)


class Case(testtools.TestCase):
    def setUp(self):
        super().setUp()
        self.config = self.useFixture(config_fixture.Config(cfg.CONF))
        self.config.conf([], default_config_files=[])
        # Workers look up from their idle wait so often: a second by default,
        # which each server.wait() would cost.
        self.useFixture(
            fixtures.MockPatchObject(
                futurist_thread.ThreadWorker, 'MAX_IDLE_FOR', 0.02
            )
        )
        memory.reset('test')
        self.addCleanup(memory.reset, 'test')

    def driver(self, url=URL, exmods=()):
        return memory.MemoryDriver(
            cfg.CONF,
            oslo_messaging.TransportURL.parse(cfg.CONF, url),
            default_exchange='minova',
            allowed_remote_exmods=list(exmods),
        )

    def transport(self, url=URL, exmods=()):
        return messaging_transport.RPCTransport(self.driver(url, exmods))

    def server(self, name='one', endpoint=None, topic='t', workers=2, **kw):
        target = oslo_messaging.Target(topic=topic, server=name, **kw)
        endpoint = endpoint or Endpoint(name)
        server = oslo_messaging.get_rpc_server(
            self.transport(), target, [endpoint]
        )
        server.start(override_pool_size=workers)
        self.addCleanup(self.end, server)
        return server, endpoint

    def end(self, server):
        server.stop()
        server.wait()

    def client(self, topic='t', url=URL, exmods=(), timeout=LONG, **kw):
        return oslo_messaging.get_rpc_client(
            self.transport(url, exmods),
            oslo_messaging.Target(topic=topic, **kw),
            timeout=timeout,
        )

    def listener(self, name, take=None, topic='t'):
        """Return an RPC listener, started if there is a function to call."""
        target = oslo_messaging.Target(topic=topic, server=name)
        listener = self.driver().listen(target, 1, None)
        self.addCleanup(listener.cleanup)
        if take is not None:
            listener.start(take)
        return listener

    def cast(self, what, server=None, topic='t'):
        target = oslo_messaging.Target(topic=topic, server=server)
        message = {'method': 'note', 'args': {'what': what}}
        self.driver().send(target, CTXT, message)


class TestAddressing(Case):
    def test_call_answers(self):
        self.server()
        answer = self.client().call(CTXT, 'echo', what={'a': [1, None, 'ü']})
        self.assertEqual({'a': [1, None, 'ü']}, answer)

    def test_call_answers_none(self):
        self.server()
        self.assertIsNone(self.client().call(CTXT, 'echo', what=None))

    def test_cast_arrives_with_its_context(self):
        _, endpoint = self.server()
        self.assertIsNone(self.client().cast(CTXT, 'note', what=1))
        self.assertEqual([1], endpoint.wait_for(1))
        self.assertEqual([CTXT], endpoint.contexts)

    def test_topic_goes_round(self):
        for name in ('one', 'two', 'three'):
            self.server(name)
        client = self.client()
        names = [client.call(CTXT, 'name_of') for _ in range(9)]
        self.assertEqual(
            {'one': 3, 'two': 3, 'three': 3}, collections.Counter(names)
        )
        self.assertEqual(names[:3], names[3:6])

    def test_server_is_addressed(self):
        for name in ('one', 'two', 'three'):
            self.server(name)
        client = self.client().prepare(server='two')
        names = {client.call(CTXT, 'name_of') for _ in range(6)}
        self.assertEqual({'two'}, names)

    def test_servers_of_one_name_share(self):
        first, second = Endpoint('first'), Endpoint('second')
        self.server('one', first)
        self.server('one', second)
        client = self.client(server='one')
        names = [client.call(CTXT, 'name_of') for _ in range(4)]
        self.assertEqual(
            {'first': 2, 'second': 2}, dict(collections.Counter(names))
        )

    def test_fanout_reaches_each_once(self):
        endpoints = [self.server(name)[1] for name in ('one', 'two', 'three')]
        _, other = self.server('one', topic='other')
        client = self.client().prepare(fanout=True)
        client.cast(CTXT, 'note', what={'n': 1})
        client.cast(CTXT, 'note', what={'n': 2})
        for endpoint in endpoints:
            self.assertCountEqual([{'n': 1}, {'n': 2}], endpoint.wait_for(2))
        copies = {id(endpoint.seen[0]) for endpoint in endpoints}
        self.assertEqual(3, len(copies))
        self.assertEqual([], other.seen)

    def test_fanout_waits_for_the_start(self):
        got = []
        listener = self.listener('one')
        target = oslo_messaging.Target(topic='t', fanout=True)
        self.driver().send(target, CTXT, {'method': 'note'})
        listener.start(got.extend)
        self.assertEqual(['note'], [each.message['method'] for each in got])

    def test_exchanges_are_apart(self):
        _, here = self.server('one')
        _, there = self.server('one', exchange='there')
        self.client(exchange='there').cast(CTXT, 'note', what='there')
        self.client(exchange='minova').cast(CTXT, 'note', what='here')
        self.assertEqual(['there'], there.wait_for(1))
        self.assertEqual(['here'], here.wait_for(1))

    def test_order_of_one_sender_is_kept(self):
        _, endpoint = self.server(workers=1)
        client = self.client()
        for number in range(200):
            client.cast(CTXT, 'note', what=number)
        self.assertEqual(list(range(200)), endpoint.wait_for(200))

    def test_ping(self):
        # The library knows the option once it has made a server.
        self.server(topic='other')
        self.config.config(rpc_ping_enabled=True)
        self.server()
        answer = self.client().call(CTXT, 'oslo_rpc_server_ping')
        self.assertEqual('pong', answer)


class TestIsolation(Case):
    def test_server_cannot_spoil_what_was_sent(self):
        self.server()
        whose, what = {'request_id': 'req-1'}, {'list': []}
        self.client().call(whose, 'spoil', what=what)
        self.assertEqual({'list': []}, what)
        self.assertEqual({'request_id': 'req-1'}, whose)

    def test_caller_cannot_spoil_what_was_answered(self):
        _, endpoint = self.server()
        self.client().call(CTXT, 'keep')['list'].append('spoilt')
        self.assertEqual({'list': []}, endpoint.kept)

    def test_sender_cannot_spoil_what_waits(self):
        what, got = {'list': []}, []
        listener = self.listener('one')
        self.cast(what)
        what['list'].append('spoilt')
        listener.start(got.extend)
        self.assertEqual({'what': {'list': []}}, got[0].message['args'])

    def test_arrives_as_json(self):
        self.server()
        answer = self.client().call(CTXT, 'echo', what={1: (2, 3)})
        self.assertEqual({'1': [2, 3]}, answer)

    def test_message_is_left_as_it_was(self):
        message = {'method': 'note', 'args': {}}
        target = oslo_messaging.Target(topic='t')
        self.driver().send(target, CTXT, message)
        self.assertEqual({'method': 'note', 'args': {}}, message)

    def test_unserializable_message_fails_at_the_sender(self):
        _, endpoint = self.server()
        for send in (self.client().call, self.client().cast):
            error = self.assertRaises(
                ValueError, send, CTXT, 'note', what=Unserializable()
            )
            self.assertIn('note of <Target', str(error))
            self.assertIn('Unserializable', str(error))
        self.assertRaises(
            ValueError, self.client().cast, {'user': Unserializable()}, 'note'
        )
        self.assertRaises(
            ValueError, self.client().cast, CTXT, 'note', what={(1, 2): 3}
        )
        endless = []
        endless.append(endless)
        self.assertRaises(
            ValueError, self.client().cast, CTXT, 'note', what=endless
        )
        self.assertEqual([], endpoint.seen)

    def test_unserializable_reply_fails_on_both_sides(self):
        log = self.useFixture(fixtures.FakeLogger(level=logging.ERROR))
        server, _ = self.server()
        error = self.assertRaises(
            ValueError, self.client().call, CTXT, 'unserializable'
        )
        self.end(server)
        self.assertIn(
            'The answer to unserializable cannot be sent', str(error)
        )
        self.assertIn('Can not send reply', log.output)

    def test_unserializable_error_still_replies(self):
        self.server()
        self.useFixture(fixtures.FakeLogger())
        error = self.assertRaises(
            ValueError, self.client().call, CTXT, 'fail_unserializably'
        )
        self.assertIn('Unserializable', str(error))


class TestRemoteErrors(Case):
    def test_allowed_module_is_rebuilt(self):
        self.server()
        self.useFixture(fixtures.FakeLogger())
        client = self.client(exmods=[exception.Refused.__module__])
        for method in ('refuse', 'refuse_as_expected'):
            error = self.assertRaises(
                exception.Refused, client.call, CTXT, method
            )
            self.assertEqual('Refused_Remote', type(error).__name__)
            self.assertIn('not now', str(error))
            self.assertIn('Traceback', str(error))

    def test_other_module_is_a_remote_error(self):
        self.server()
        self.useFixture(fixtures.FakeLogger())
        error = self.assertRaises(
            oslo_messaging.RemoteError, self.client().call, CTXT, 'refuse'
        )
        self.assertEqual('Refused', error.exc_type)
        self.assertEqual('not now', error.value)

    def test_unknown_method_is_a_remote_error(self):
        self.server()
        self.useFixture(fixtures.FakeLogger())
        error = self.assertRaises(
            oslo_messaging.RemoteError, self.client().call, CTXT, 'no_such'
        )
        self.assertEqual('NoSuchMethod', error.exc_type)


class TestTimeouts(Case):
    def test_no_consumer(self):
        client = self.client(topic='nowhere', timeout=0.05)
        before = time.monotonic()
        error = self.assertRaises(
            oslo_messaging.MessagingTimeout, client.call, CTXT, 'name_of'
        )
        self.assertThat(
            time.monotonic() - before,
            testtools.matchers.MatchesAll(
                testtools.matchers.GreaterThan(0.04),
                testtools.matchers.LessThan(2),
            ),
        )
        self.assertIn('nowhere', str(error))
        self.assertIn('name_of', str(error))

    def test_no_reply(self):
        got = []
        self.listener('one', got.extend)
        client = self.client(timeout=0.05)
        self.assertRaises(
            oslo_messaging.MessagingTimeout, client.call, CTXT, 'name_of'
        )
        self.assertEqual(1, len(got))
        # Too late is harmless.
        got[0].reply('one')

    def test_past_deadline_is_a_timeout(self):
        client = self.client(timeout=-1)
        self.assertRaises(
            oslo_messaging.MessagingTimeout, client.call, CTXT, 'name_of'
        )

    def monitored(self, beats):
        """Call with a timeout of 0.3 s a server with beats each 0.05 s."""
        monitor_timeouts = []

        def work(incoming):
            for _ in range(beats):
                time.sleep(0.05)
                incoming.heartbeat()
            incoming.reply('done') if beats else None

        def take(batch):
            monitor_timeouts.append(batch[0].client_timeout)
            thread = threading.Thread(target=work, args=batch)
            self.addCleanup(thread.join)
            thread.start()

        self.listener('one', take)
        client = self.client().prepare(timeout=LONG, call_monitor_timeout=0.3)
        try:
            return client.call(CTXT, 'work')
        finally:
            self.assertEqual([0.3], monitor_timeouts)

    def test_heartbeats_keep_a_call_alive(self):
        self.assertEqual('done', self.monitored(beats=8))

    def test_silence_ends_a_call(self):
        before = time.monotonic()
        self.assertRaises(
            oslo_messaging.MessagingTimeout, self.monitored, beats=0
        )
        self.assertLess(time.monotonic() - before, LONG - 1)

    def test_heartbeats_do_not_outlast_the_timeout(self):
        def take(batch):
            for _ in range(100):
                batch[0].heartbeat()

        self.listener('one', take)
        client = self.client().prepare(timeout=0.1, call_monitor_timeout=2)
        before = time.monotonic()
        self.assertRaises(
            oslo_messaging.MessagingTimeout, client.call, CTXT, 'work'
        )
        self.assertLess(time.monotonic() - before, 1.5)

    def test_cast_has_no_monitor(self):
        got = []
        self.listener('one', got.extend)
        self.cast('x')
        self.assertIsNone(got[0].client_timeout)
        got[0].heartbeat()
        got[0].reply('no caller')


class TestUndeliverable(Case):
    def assert_undeliverable(self, key, **where):
        client = self.client().prepare(transport_options=MUST_ARRIVE, **where)
        for send in (client.call, client.cast):
            before = time.monotonic()
            error = self.assertRaises(
                oslo_messaging.MessageUndeliverable, send, CTXT, 'note'
            )
            self.assertLess(time.monotonic() - before, 1)
            self.assertEqual('minova', error.exchange)
            self.assertEqual(key, error.routing_key)
            self.assertIn('note', error.message)
            self.assertIn('No listener', str(error.exception))

    def test_no_such_topic(self):
        self.server()
        self.assert_undeliverable('nowhere', topic='nowhere')

    def test_no_such_server(self):
        self.server()
        self.assert_undeliverable('t.unknown', server='unknown')

    def test_stopped_server(self):
        server, _ = self.server()
        self.end(server)
        self.assert_undeliverable('t')
        self.assert_undeliverable('t.one', server='one')

    def test_delivered_to_a_consumer(self):
        _, endpoint = self.server()
        client = self.client().prepare(transport_options=MUST_ARRIVE)
        self.assertEqual('one', client.call(CTXT, 'name_of'))
        client.cast(CTXT, 'note', what='x')
        self.assertEqual(['x'], endpoint.wait_for(1))

    def test_cast_without_consumer_is_dropped(self):
        self.client().cast(CTXT, 'note', what='lost')
        self.client(server='one').cast(CTXT, 'note', what='lost')
        _, endpoint = self.server()
        self.client().cast(CTXT, 'note', what='found')
        self.assertEqual(['found'], endpoint.wait_for(1))

    def test_fanout_without_consumer_is_no_error(self):
        client = self.client().prepare(
            fanout=True, transport_options=MUST_ARRIVE
        )
        self.assertIsNone(client.cast(CTXT, 'note'))


class TestStop(Case):
    def test_stopped_server_gets_nothing(self):
        first, _ = self.server('one')
        self.server('two')
        client = self.client()
        self.assertEqual(
            {'one', 'two'}, {client.call(CTXT, 'name_of') for _ in range(2)}
        )
        first.stop()
        names = {client.call(CTXT, 'name_of') for _ in range(6)}
        self.assertEqual({'two'}, names)

    def test_received_messages_are_finished(self):
        begun, go_on = threading.Event(), threading.Event()
        self.addCleanup(go_on.set)

        class Slow(Endpoint):
            def note(self, ctxt, what=None):
                begun.set()
                go_on.wait(LONG)
                super().note(ctxt, what)

        server, endpoint = self.server(endpoint=Slow(), workers=1)
        for number in range(3):
            self.client().cast(CTXT, 'note', what=number)
        self.assertTrue(begun.wait(LONG))
        server.stop()
        go_on.set()
        server.wait()
        self.assertEqual([0, 1, 2], endpoint.seen)

    def test_queued_messages_go_to_other_servers(self):
        got = []
        first, second = self.listener('one'), self.listener('two')
        for number in range(5):
            self.cast(number)
        self.cast('for one', server='one')
        self.cast('for two', server='two')
        first.stop()
        second.start(got.extend)
        whats = [each.message['args']['what'] for each in got]
        self.assertCountEqual([0, 1, 2, 3, 4, 'for two'], whats)
        self.assertEqual([0, 1, 2, 3, 4], [w for w in whats if w != 'for two'])

    def test_message_without_consumer_is_dropped(self):
        got = []
        listener = self.listener('one')
        self.cast('to the topic')
        self.cast('to the server', server='one')
        listener.stop()
        self.listener('one', got.extend)
        self.assertEqual([], got)

    def test_started_server_takes_from_one_not_started(self):
        self.listener('one')
        self.cast('early')
        _, endpoint = self.server('two')
        self.cast('late')
        self.assertCountEqual(['early', 'late'], endpoint.wait_for(2))

    def test_requeued_message_goes_to_the_next(self):
        first, second = [], []
        self.listener('one', first.extend)
        self.listener('two', second.extend)
        self.cast('x')
        first[0].message['args']['what'] = 'spoilt'
        first[0].requeue()
        self.assertEqual({'what': 'x'}, second[0].message['args'])

    def test_stop_waits_for_dispatch(self):
        entered, leave = threading.Event(), threading.Event()
        stopped = threading.Event()
        self.addCleanup(leave.set)

        def take(batch):
            entered.set()
            leave.wait(LONG)

        def stop():
            listener.stop()
            stopped.set()

        listener = self.listener('one', take)
        threads = [
            threading.Thread(target=self.cast, args=('x',)),
            threading.Thread(target=stop),
        ]
        threads[0].start()
        self.assertTrue(entered.wait(LONG))
        threads[1].start()
        self.assertFalse(stopped.wait(0.05))
        leave.set()
        self.assertTrue(stopped.wait(LONG))
        for thread in threads:
            thread.join()

    def test_stop_is_immediate_and_leaves_no_thread(self):
        before = set(threading.enumerate())
        server, _ = self.server(workers=4)
        for _ in range(8):
            self.client().call(CTXT, 'name_of')
        during = set(threading.enumerate()) - before
        start = time.monotonic()
        server.stop()
        self.assertLess(time.monotonic() - start, 0.5)
        server.wait()
        # Only the workers of the server had threads, and they have ended.
        self.assertEqual(4, len(during))
        self.assertEqual(before, set(threading.enumerate()))

    def test_server_can_start_again(self):
        server, endpoint = self.server()
        self.end(server)
        server.start(override_pool_size=1)
        self.client().cast(CTXT, 'note', what='again')
        self.assertEqual(['again'], endpoint.wait_for(1))

    def test_cleanup_silences_the_listeners_of_the_driver(self):
        mine, other = [], []
        driver = self.driver()
        target = oslo_messaging.Target(topic='t', server='one')
        listener = driver.listen(target, 1, None)
        listener.start(mine.extend)
        self.listener('two', other.extend)
        driver.cleanup()
        for number in range(4):
            self.cast(number)
        self.assertEqual(([], 4), (mine, len(other)))


class TestThreads(Case):
    def run_threads(self, count, work):
        errors = []

        def guarded(number):
            try:
                work(number)
            except Exception as error:
                errors.append(error)

        threads = [
            threading.Thread(target=guarded, args=(number,))
            for number in range(count)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual([], errors)

    def test_eight_clients_at_once(self):
        for name in ('one', 'two'):
            self.server(name, workers=4)
        client = self.client()
        answers = collections.defaultdict(list)

        def work(number):
            for turn in range(50):
                what = f'{number}.{turn}'
                answers[number].append(client.call(CTXT, 'echo', what=what))

        self.run_threads(8, work)
        for number in range(8):
            self.assertEqual(
                [f'{number}.{turn}' for turn in range(50)], answers[number]
            )

    def test_messages_survive_server_changes(self):
        endpoint = Endpoint()
        self.server('stays', endpoint)
        client = self.client().prepare(transport_options=MUST_ARRIVE)
        over = threading.Event()

        def come_and_go():
            while not over.is_set():
                server, _ = self.server('comes and goes', endpoint, workers=1)
                self.end(server)

        coming = threading.Thread(target=come_and_go)
        coming.start()
        self.addCleanup(coming.join)
        self.addCleanup(over.set)

        def work(number):
            for turn in range(100):
                client.cast(CTXT, 'note', what=f'{number}.{turn}')

        self.run_threads(8, work)
        self.assertEqual(800, len(endpoint.wait_for(800)))
        self.assertEqual(800, len(set(endpoint.seen)))

    def test_call_from_within_a_call(self):
        client = self.client()

        class Relay(Endpoint):
            def relay(self, ctxt):
                return client.prepare(topic='behind').call(ctxt, 'name_of')

        self.server(endpoint=Relay(), workers=1)
        self.server('last', topic='behind')
        self.assertEqual('last', client.call(CTXT, 'relay'))

    def test_receiver_may_send_where_it_receives(self):
        got = []

        def take(batch):
            got.extend(each.message['args']['what'] for each in batch)
            if len(got) < 3:
                self.cast(len(got))

        self.listener('one', take)
        thread = threading.Thread(target=self.cast, args=(0,), daemon=True)
        thread.start()
        thread.join(LONG)
        self.assertEqual([0, 1, 2], got)

    def test_waiting_costs_nothing(self):
        self.server()
        self.client().call(CTXT, 'name_of')
        waiting = threading.Thread(
            target=self.assertRaises,
            args=(
                oslo_messaging.MessagingTimeout,
                self.client(topic='nowhere', timeout=0.4).call,
                CTXT,
                'name_of',
            ),
        )
        waiting.start()
        before = time.process_time()
        time.sleep(0.3)
        self.assertLess(time.process_time() - before, 0.06)
        waiting.join()


class TestBrokers(Case):
    def setUp(self):
        super().setUp()
        for name in (None, 'a', 'a/b'):
            memory.reset(name)
            self.addCleanup(memory.reset, name)

    def reaches(self, sender, receiver):
        """Tell whether a cast of one driver arrives at the other."""
        got = []
        target = oslo_messaging.Target(topic='t', server='one')
        listener = receiver.listen(target, 1, None)
        listener.start(got.extend)
        sender.send(target, CTXT, {'method': 'note'})
        listener.stop()
        return bool(got)

    def test_broker_is_shared_by_name(self):
        for url, other in (
            ('memory://', 'memory://'),
            ('memory://', 'memory:///'),
            ('memory://a/', 'memory://a'),
            ('memory://a/', 'memory:///a'),
            ('memory://user:pass@a:5672/', 'memory://a/'),
            ('memory://a/b', 'memory://a/b'),
        ):
            self.assertTrue(self.reaches(self.driver(url), self.driver(other)))

    def test_names_do_not_see_each_other(self):
        urls = ('memory://', 'memory://a/', 'memory://a/b')
        for url in urls:
            for other in urls:
                self.assertEqual(
                    url == other,
                    self.reaches(self.driver(url), self.driver(other)),
                )

    def test_reset_forgets_one(self):
        for url, name in (('memory://', None), ('memory://a/', 'a')):
            old, apart = self.driver(url), self.driver('memory://a/b')
            self.assertTrue(self.reaches(old, self.driver(url)))
            memory.reset(name)
            new = self.driver(url)
            self.assertFalse(self.reaches(old, new))
            self.assertTrue(self.reaches(old, old))
            self.assertTrue(self.reaches(apart, self.driver('memory://a/b')))

    def test_reset_forgets_notifications(self):
        target = oslo_messaging.Target(topic='n.info')
        self.driver().send_notification(target, CTXT, {}, 2.0)
        memory.reset('test')
        got = []
        target = oslo_messaging.Target(topic='n')
        listener = self.driver().listen_for_notifications(
            [(target, 'info')], None, 1, None
        )
        listener.start(got.extend)
        self.assertEqual([], got)

    def test_is_registered(self):
        setup = configparser.ConfigParser()
        root = pathlib.Path(minova.__file__).parents[1]
        setup.read(root / 'setup.cfg')
        drivers = setup['entry_points']['oslo.messaging.drivers']
        self.assertIn(
            'memory = minova.rpc.memory:MemoryDriver', drivers.splitlines()
        )


class TestNotifications(Case):
    def notifier(self):
        transport = messaging_transport.NotificationTransport(self.driver())
        return oslo_messaging.Notifier(
            transport, 'compute.one', driver='messagingv2', topics=['n']
        )

    def listen(self, endpoint=None, pool=None, requeue=False):
        transport = messaging_transport.NotificationTransport(self.driver())
        endpoint = endpoint or NotificationEndpoint()
        listener = oslo_messaging.get_notification_listener(
            transport,
            [oslo_messaging.Target(topic='n')],
            [endpoint],
            pool=pool,
            allow_requeue=requeue,
        )
        listener.start(override_pool_size=1)
        self.addCleanup(self.end, listener)
        return listener, endpoint

    def raw_listener(self, take, batch_size=1, priorities=('info',)):
        target = oslo_messaging.Target(topic='n')
        listener = self.driver().listen_for_notifications(
            [(target, priority) for priority in priorities],
            None,
            batch_size,
            None,
        )
        self.addCleanup(listener.cleanup)
        listener.start(take)
        return listener

    def send(self, first, last, priority='info'):
        driver = self.driver()
        target = oslo_messaging.Target(topic=f'n.{priority}')
        for number in range(first, last):
            driver.send_notification(target, CTXT, {'n': number}, 2.0)

    def test_arrives(self):
        _, endpoint = self.listen()
        payload = {'list': []}
        # Notifiers take the context from a dict away.
        whose = context.RequestContext(request_id='req-1')
        self.notifier().info(whose, 'instance.x', payload)
        self.assertEqual([{'list': []}], endpoint.wait_for(1))
        self.assertIsNot(payload, endpoint.seen[0])
        self.assertEqual('req-1', endpoint.contexts[0]['request_id'])

    def test_only_the_priorities_listened_to(self):
        got = []
        self.raw_listener(got.extend, priorities=('info', 'error'))
        self.send(0, 1, 'info')
        self.send(1, 2, 'warn')
        self.send(2, 3, 'error')
        self.assertEqual([0, 2], [each.message['n'] for each in got])

    def test_waits_for_a_late_listener_in_order(self):
        notifier = self.notifier()
        for number in range(20):
            notifier.info(CTXT, 'instance.x', number)
        _, endpoint = self.listen()
        notifier.info(CTXT, 'instance.x', 20)
        self.assertEqual(list(range(21)), endpoint.wait_for(21))

    def test_waits_without_listeners(self):
        got = []
        self.raw_listener(got.extend).stop()
        self.send(0, 3)
        self.assertEqual([], got)
        self.raw_listener(got.extend)
        self.assertEqual([0, 1, 2], [each.message['n'] for each in got])

    def test_listeners_without_pool_share(self):
        endpoints = [self.listen()[1] for _ in range(2)]
        notifier = self.notifier()
        for number in range(6):
            notifier.info(CTXT, 'instance.x', number)
        seen = [endpoint.wait_for(3) for endpoint in endpoints]
        self.assertEqual([0, 2, 4], seen[0])
        self.assertEqual([1, 3, 5], seen[1])

    def test_each_pool_gets_a_copy(self):
        _, alone = self.listen()
        _, billing = self.listen(pool='billing')
        halves = [self.listen(pool='monitor')[1] for _ in range(2)]
        notifier = self.notifier()
        for number in range(4):
            notifier.info(CTXT, 'instance.x', {'n': number})
        everything = [{'n': number} for number in range(4)]
        self.assertEqual(everything, alone.wait_for(4))
        self.assertEqual(everything, billing.wait_for(4))
        shares = halves[0].wait_for(2) + halves[1].wait_for(2)
        self.assertCountEqual(everything, shares)
        self.assertEqual(2, len(halves[0].seen))
        self.assertIsNot(alone.seen[0], billing.seen[0])

    def test_late_pool_gets_what_comes_after_it(self):
        notifier = self.notifier()
        notifier.info(CTXT, 'instance.x', 'before')
        listener, late = self.listen(pool='late')
        notifier.info(CTXT, 'instance.x', 'after')
        self.assertEqual(['after'], late.wait_for(1))
        self.end(listener)
        notifier.info(CTXT, 'instance.x', 'while away')
        _, back = self.listen(pool='late')
        self.assertEqual(['while away'], back.wait_for(1))
        _, common = self.listen()
        self.assertEqual(['before', 'after', 'while away'], common.wait_for(3))

    def test_keeps_ten_thousand_and_says_what_it_drops(self):
        log = self.useFixture(fixtures.FakeLogger(level=logging.WARNING))
        self.send(0, 10_000)
        self.assertEqual('', log.output)
        self.send(10_000, 12_001)
        self.send(0, 1, 'error')
        warnings = [
            line for line in log.output.splitlines() if 'dropped' in line
        ]
        self.assertEqual(3, len(warnings))
        for line, count in zip(warnings, (1, 1001, 2001), strict=True):
            self.assertIn(f'minova.n.info: no consumer; {count} dropped', line)
        got = []
        self.raw_listener(got.extend)
        self.assertEqual(
            list(range(2001, 12_001)), [each.message['n'] for each in got]
        )

    def test_requeued_comes_again_unspoilt(self):
        class Fussy(NotificationEndpoint):
            def info(self, ctxt, publisher_id, event_type, payload, metadata):
                self.note(ctxt, list(payload))
                payload.append('spoilt')
                if len(self.seen) == 1:
                    return oslo_messaging.NotificationResult.REQUEUE
                return oslo_messaging.NotificationResult.HANDLED

        _, endpoint = self.listen(Fussy(), requeue=True)
        self.notifier().info(CTXT, 'instance.x', ['x'])
        self.assertEqual([['x'], ['x']], endpoint.wait_for(2))

    def test_requeued_comes_before_what_waits(self):
        got = []
        listener = self.raw_listener(got.extend)
        self.send(0, 1)
        listener.stop()
        self.send(1, 3)
        got.pop().requeue()
        self.raw_listener(got.extend)
        self.assertEqual([0, 1, 2], [each.message['n'] for each in got])

    def test_requeue_may_be_required(self):
        transport = messaging_transport.NotificationTransport(self.driver())
        self.assertIsNone(transport._require_driver_features(requeue=True))

    def test_batches(self):
        for batch_size, sizes in ((2, [2, 2, 1]), (None, [5])):
            self.send(0, 5)
            got = []
            listener = self.raw_listener(got.append, batch_size)
            self.assertEqual(sizes, [len(batch) for batch in got])
            self.send(5, 6)
            listener.stop()
            numbers = [each.message['n'] for batch in got for each in batch]
            self.assertEqual([0, 1, 2, 3, 4, 5], numbers)

    def test_unserializable_fails_at_the_sender(self):
        target = oslo_messaging.Target(topic='n.info')
        message = {'event_type': 'instance.x', 'payload': Unserializable()}
        error = self.assertRaises(
            ValueError,
            self.driver().send_notification,
            target,
            CTXT,
            message,
            2.0,
        )
        self.assertIn('instance.x to <Target', str(error))
