# SPDX-License-Identifier: Apache-2.0
"""What arrives of a message, as the driver of RabbitMQ hands it over."""

import json

from minova.context import Context
from minova.flows import interfaces
from minova.rpc import oslo_bus
from minova.rpc import rabbit_listener
from minova.rpc.contract import Dispatcher
from minova.rpc.verifier import Verifier
from tests import base
from tests.fixtures import senders


class ContextTest(base.TestCase):
    """A driver packs the context into the message and adds members."""

    def test_a_signed_message_arrives_as_it_was_sent(self):
        keys = senders.Keys('a')
        received = []

        class Conductor:
            def heartbeat(self, context, **arguments):
                received.append((context.request_id, arguments))
                return []

        dispatcher = Dispatcher(
            interfaces.CONDUCTOR, Conductor(), Verifier(keys, keys), 'c0'
        )
        endpoint = oslo_bus._endpoint(
            oslo_bus.oslo_messaging.Target(topic='conductor', version='1.6'),
            ['heartbeat'],
            dispatcher.dispatch,
        )
        arguments = {
            'host': 'a',
            'incarnation': 'i1',
            'hypervisor_error': None,
        }
        context, sent = keys.signer('a').sign(
            'conductor',
            None,
            'heartbeat',
            Context(request_id='req-1').to_dict(),
            arguments,
        )
        amqp = rabbit_listener.amqpdriver.rpc_amqp
        message = {'_msg_id': 'm1', '_reply_q': 'q1', '_timeout': 30}
        amqp.pack_context(message, context)
        unpacked = amqp.unpack_context(json.loads(json.dumps(message)))
        answer = endpoint.heartbeat(unpacked.to_dict(), **sent)
        self.assertEqual({'result': []}, answer)
        self.assertEqual([('req-1', arguments)], received)
