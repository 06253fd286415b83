# SPDX-License-Identifier: Apache-2.0
"""What is told to the world, and where.

The topics and, when they should go to another broker, its URL are oslo's own
options in the [oslo_messaging_notifications] group.
"""

from oslo_config import cfg

GROUP = 'notifications'

OPTIONS = [
    cfg.BoolOpt(
        'enabled',
        default=True,
        help="""
Publish notifications. They are kept in the database either way. Without a
consumer a broker's queue grows without end, so switch this off where nobody
listens.
""",
    ),
    cfg.StrOpt(
        'exchange',
        default='nova',
        help="""
The exchange to which notifications are published. Ceilometer and others
subscribe to ``nova``.
""",
    ),
    cfg.StrOpt(
        'notify_on_state_change',
        default='vm_and_task_state',
        choices=[
            ('vm_state', 'when the vm_state changes'),
            ('vm_and_task_state', 'when the vm_state or task_state changes'),
            ('none', 'never'),
        ],
        help='When compute.instance.update is sent.',
    ),
    cfg.StrOpt(
        'default_publisher_id',
        help="""
The host part of the api's and conductor's publisher id, ``api.HOST``. By
default the name of the host they run on.
""",
    ),
    cfg.StrOpt(
        'instance_usage_audit_period',
        default='month',
        choices=['hour', 'day', 'month', 'year'],
        help="""
The billing period in which ``audit_period_beginning`` and
``audit_period_ending`` of update and exists notifications lie.
""",
    ),
    cfg.StrOpt(
        'image_url',
        default='http://127.0.0.1:9292',
        help="""
The URL of the image service as it stands before ``/images/ID`` in
``image_ref_url``.
""",
    ),
    cfg.IntOpt(
        'relay_batch',
        default=200,
        min=1,
        max=10000,
        help='How many notifications the relay reads and publishes at a time.',
    ),
    cfg.FloatOpt(
        'relay_interval',
        default=0.5,
        min=0.01,
        help="""
Seconds after which the relay looks for notifications that it was not woken
for, those that another process wrote.
""",
    ),
]
