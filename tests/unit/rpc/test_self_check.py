# SPDX-License-Identifier: Apache-2.0
"""The self-check of a service that does not receive its messages."""

from minova import exception
from minova.rpc import self_check
from tests import base

MISSING = exception.NoConsumer(what='compute on a', reason='no consumer')
SILENCE = exception.RpcTimeout(what='compute on a', reason='no answer in 5 s')
AWAY = exception.Unavailable(what='compute on a', reason='no broker')


class Server:
    """Counts its starts and stops."""

    def __init__(self, world):
        self.world = world
        self.started = self.stopped = 0

    def start(self):
        self.started += 1
        self.world.on_start()

    def stop(self):
        self.stopped += 1


class SelfCheckTest(base.TestCase):
    """One service, and a broker with the answers of the test."""

    def setUp(self):
        super().setUp()
        self.answers = []
        self.usual = 'own'
        self.servers = []
        self.given_up = []
        self.on_start = lambda: None
        self.pings = 0
        self.check = self_check.RpcSelfCheck(
            'Compute a', 'own', self.serve, self.ping, self.given_up.append
        )

    def serve(self):
        self.servers.append(Server(self))
        return self.servers[-1]

    def ping(self):
        self.pings += 1
        answer = self.answers.pop(0) if self.answers else self.usual
        if isinstance(answer, Exception):
            raise answer
        return answer

    def listen(self, times=1):
        for _ in range(times):
            self.check.check()

    def test_check_passes(self):
        self.listen(3)
        self.assertEqual([], self.servers)
        self.assertIsNotNone(self.check.reachable_span)
        self.assertEqual('', self.log.output)

    def test_failed_check_recreates_the_server(self):
        for trouble in (MISSING, SILENCE):
            self.servers.clear()
            self.usual = trouble
            self.listen(self_check.MAX_MISSED - 1)
            self.assertEqual([], self.servers)
            self.assertIsNone(self.check.reachable_span)
            self.listen()
            (server,) = self.servers
            self.assertEqual(1, server.started)
            self.usual = 'own'
            self.listen()
            self.assertIsNotNone(self.check.reachable_span)
        said = self.log.output.splitlines()
        self.assertEqual(2, sum('recreating' in line for line in said))
        self.assertEqual(2, sum('succeeds again' in line for line in said))
        self.assertEqual(2, sum('check failed: ' in line for line in said))
        self.assertEqual([], self.given_up)

    def test_the_old_server_is_ended(self):
        self.check._server = old = self.serve()
        self.usual = MISSING
        self.listen(self_check.MAX_MISSED)
        (retired,) = self.check._retired
        retired.join(5)
        self.assertEqual(1, old.stopped)
        self.assertEqual(0, self.servers[-1].stopped)

    def test_broker_outage_is_no_failure(self):
        self.usual = AWAY
        self.listen(10)
        self.assertEqual([], self.servers)
        self.assertIsNone(self.check.reachable_span)
        # Nor do rounds count that lie before it.
        self.answers = [
            MISSING,
            MISSING,
            AWAY,
            MISSING,
            MISSING,
        ]
        self.listen(5)
        self.assertEqual([], self.servers)
        self.usual = 'own'
        self.listen()
        self.assertIn('succeeds again', self.log.output)

    def test_another_of_the_same_name_does_not_answer_for_it(self):
        self.usual = 'another'
        self.listen(self_check.MAX_MISSED)
        self.assertEqual(1, len(self.servers))
        self.assertIn('another process answers', self.log.output)

    def test_workers_take_turns(self):
        self.answers = ['another', True, 'own'] * 5
        self.listen(5)
        self.assertEqual(15, self.pings)
        self.assertEqual([], self.servers)

    def test_process_exits_after_repeated_failures(self):
        self.usual = SILENCE
        self.listen(self_check.MAX_MISSED * self_check.MAX_RESTARTS)
        self.assertEqual(self_check.MAX_RESTARTS, len(self.servers))
        self.assertEqual([], self.given_up)
        self.listen(self_check.MAX_MISSED)
        self.assertIn('Compute a: self-check failed', self.given_up[0])

    def test_counter_resets_after_recovery(self):
        for _ in range(self_check.MAX_RESTARTS + 2):
            self.usual = MISSING
            self.listen(self_check.MAX_MISSED)
            self.usual = 'own'
            self.listen()
        self.assertEqual([], self.given_up)

    def test_no_exit_when_not_allowed(self):
        self.check._on_fatal = None
        self.usual = MISSING
        self.listen(self_check.MAX_MISSED * (self_check.MAX_RESTARTS + 3))
        self.assertEqual(self_check.MAX_RESTARTS + 3, len(self.servers))

    def test_a_broker_that_refuses_the_new_server(self):
        def refuse():
            raise AWAY

        self.on_start = refuse
        self.usual = MISSING
        for _ in range(self_check.MAX_RESTARTS):
            self.listen(self_check.MAX_MISSED - 1)
            self.assertRaises(exception.Unavailable, self.check.check)
        self.on_start = lambda: None
        self.listen(self_check.MAX_MISSED)
        self.assertEqual(1, len(self.given_up))
