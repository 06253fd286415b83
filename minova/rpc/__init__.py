# SPDX-License-Identifier: Apache-2.0
"""RPC between the services: interfaces, clients, servers and the bus.

=============== =============================================================
module          what it holds
=============== =============================================================
contract        the declaration of a method, and the client and server of it
signing         Ed25519 keys and signatures
proof           the proof of a message: who sent it, when, and what it said
verifier        the one place that accepts or refuses a message
database_time   the time of the database, by which messages age
conductor       the interface of the conductor, without steps
compute         the interface of the compute, without steps
step_client     the client of step methods
wakeups         casts that start steps and may be lost
serializer      values as JSON
bus             the interface of the message bus
oslo_bus        the bus over oslo.messaging
routes          the exchange, queues and routing keys in RabbitMQ
rabbit_driver   the declaration of these queues
rabbit_listener origin and acknowledgement of messages from RabbitMQ
broker_accounts the permissions of each service's account in RabbitMQ
memory          the oslo.messaging driver for transports in one process
self_check      the check that a service receives its own messages
named_queue     one queue of the notification broker, by name
queue_stats     messages and consumers of queues
=============== =============================================================
"""
