# SPDX-License-Identifier: Apache-2.0
"""[notifications]: which notifications are published, and their content.

The topics, and the URL of a separate broker, are options of oslo.messaging in
the group ``[oslo_messaging_notifications]``.
"""

from oslo_config import cfg

GROUP = 'notifications'

_PERIOD = (
    r'^(hour(@[1-5]?[0-9])?|day(@(1?[0-9]|2[0-3]))?'
    r'|month(@(1?[0-9]|2[0-8]))?|year(@([0-9]|1[0-2]))?)$'
)

OPTIONS = [
    cfg.BoolOpt(
        'enabled',
        default=True,
        help="""
Publish notifications. The database records them in any case. Disable this
where no consumer reads the notifications: the queue in the broker grows
without limit. See also [oslo_messaging_notifications] topics.
""",
    ),
    cfg.StrOpt(
        'exchange',
        default='nova',
        help="""
The exchange to which notifications are published. Ceilometer and other
consumers bind to ``nova``; with another value they need the same change.
""",
    ),
    cfg.StrOpt(
        'notify_on_state_change',
        default='vm_and_task_state',
        choices=[
            ('vm_state', 'when vm_state changes'),
            ('vm_and_task_state', 'when vm_state or task_state changes'),
            ('none', 'never'),
        ],
        help="""
The changes of an instance for which compute.instance.update is emitted.
""",
    ),
    cfg.StrOpt(
        'default_publisher_id',
        sample_default='$host',
        help="""
The host part of the publisher_id of notifications of minova-api and
minova-conductor, ``api.HOST``. When it is not set, this is [DEFAULT] host.
""",
    ),
    cfg.BoolOpt(
        'instance_usage_audit',
        default=False,
        help="""
Emit compute.instance.exists for each server once after each audit period in
which the server existed, also when its host is down. A conductor does this for
all hosts. Periods that ended while no conductor ran, or while the option was
false, follow in their order. Set the same value for conductors and
minova-manage, which archives no server whose last period is not audited. See
also instance_usage_audit_period.
""",
    ),
    cfg.StrOpt(
        'instance_usage_audit_period',
        default='month',
        regex=_PERIOD,
        help="""
The length of the audit period: ``hour``, ``day``, ``month`` or ``year``, in
UTC. ``@`` and a number shift its begin: ``hour@15`` begins 15 minutes after
the hour (0 to 59), ``day@6`` at 06:00 (0 to 23), ``month@10`` on the 10th (1
to 28), ``year@4`` on April 1 (1 to 12). It determines audit_period_beginning
and audit_period_ending of compute.instance.update and compute.instance.exists.
Set the same value for all services.
""",
    ),
    cfg.StrOpt(
        'image_url',
        default='http://127.0.0.1:9292',
        help="""
The URL of the image service in ``image_ref_url`` of notifications, without
``/images/ID``. Set it to the public URL of the image service; it is not used
for requests.
""",
    ),
    cfg.IntOpt(
        'relay_batch',
        default=200,
        min=1,
        max=10000,
        help="""
The number of notifications that the relay reads and publishes at a time, 1 to
10000. After a crash at most this many notifications are published twice.
""",
    ),
    cfg.FloatOpt(
        'relay_interval',
        default=0.5,
        min=0.01,
        help="""
Seconds between two reads of new notifications by the relay; at least 0.01. The
relay publishes notifications of its own process at once; the interval applies
to those of other processes.
""",
    ),
]
