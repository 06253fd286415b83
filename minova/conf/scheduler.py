# SPDX-License-Identifier: Apache-2.0
"""[scheduler]: how a conductor selects a host."""

from oslo_config import cfg
from oslo_config import types

GROUP = 'scheduler'

OPTIONS = [
    cfg.IntOpt(
        'max_attempts',
        default=3,
        min=1,
        help="""
The number of hosts that are tried for a build, a resize or a cold migration;
at least 1. Then the operation fails. 1: a failure on the first host is not
retried.
""",
    ),
    cfg.BoolOpt(
        'allow_resize_to_same_host',
        default=False,
        help="""
Allow a resize to select the host on which the instance is. The host needs the
resources of both flavors until the resize is confirmed or reverted. A cloud
with one host needs this option for a resize.
""",
    ),
    cfg.FloatOpt(
        'ram_weight_multiplier',
        default=1.0,
        help="""
The weight of free memory in the selection of a host. A positive number spreads
instances over the hosts, a negative number fills one host after the other, 0
ignores memory. See also cpu_weight_multiplier and disk_weight_multiplier.
""",
    ),
    cfg.FloatOpt(
        'cpu_weight_multiplier',
        default=1.0,
        help="""
The weight of free vCPUs in the selection of a host; see ram_weight_multiplier.
""",
    ),
    cfg.FloatOpt(
        'disk_weight_multiplier',
        default=1.0,
        help="""
The weight of free disk space in the selection of a host; see
ram_weight_multiplier.
""",
    ),
    cfg.FloatOpt(
        'io_ops_weight_multiplier',
        default=0.0,
        help="""
The weight of the steps that run on a host, such as builds and migrations, in
the selection of a host. A negative number avoids busy hosts, a positive number
prefers them. 0 ignores steps, and does not read them from the database.
""",
    ),
    cfg.FloatOpt(
        'soft_affinity_weight_multiplier',
        default=1.0,
        min=0,
        help="""
The weight of the members of a server group with the policy soft-affinity on a
host, in the selection of a host for another member; at least 0. A number above
the sum of the other multipliers puts all members on one host while they fit.
""",
    ),
    cfg.FloatOpt(
        'soft_anti_affinity_weight_multiplier',
        default=1.0,
        min=0,
        help="""
The weight of the members of a server group with the policy soft-anti-affinity
on a host, in the selection of a host for another member; at least 0. See
soft_affinity_weight_multiplier.
""",
    ),
    cfg.ListOpt(
        'enabled_filters',
        default=[
            'AggregateMultiTenancyIsolation',
            'AggregateInstanceExtraSpecsFilter',
            'AggregateImagePropertiesIsolation',
            'ComputeCapabilitiesFilter',
            'SameHostFilter',
            'DifferentHostFilter',
            'SimpleCIDRAffinityFilter',
        ],
        item_type=types.String(
            choices=[
                'AggregateMultiTenancyIsolation',
                'AggregateInstanceExtraSpecsFilter',
                'AggregateImagePropertiesIsolation',
                'ComputeCapabilitiesFilter',
                'SameHostFilter',
                'DifferentHostFilter',
                'SimpleCIDRAffinityFilter',
                'JsonFilter',
            ]
        ),
        help="""
The filters of hosts that apply in addition to those that always apply: the
state of the compute, the zone, the image, the server group and the free
resources. JsonFilter, for the scheduler hint query, is not in the default:
with it users can find out names and capacity of hosts.
""",
    ),
    cfg.StrOpt(
        'aggregate_image_properties_isolation_namespace',
        help="""
The beginning of the metadata keys that the filter
AggregateImagePropertiesIsolation compares with image properties, without the
separator. By default it compares every key of an aggregate that an image has.
""",
    ),
    cfg.StrOpt(
        'aggregate_image_properties_isolation_separator',
        default='.',
        help="""
The text between aggregate_image_properties_isolation_namespace and the rest of
a key.
""",
    ),
    cfg.IntOpt(
        'max_live_migration_candidates',
        default=5,
        min=1,
        help="""
The number of hosts that are checked as destination of a live migration, and
the number of hosts that may fail to prepare for the guest; at least 1. When
none of them can receive the guest, the migration fails with no valid host.
""",
    ),
    cfg.FloatOpt(
        'host_state_max_age',
        default=1.0,
        min=0,
        help="""
Seconds for which a conductor uses the host states it has read before it reads
them again. 0: it reads them for each selection. A claim is checked against the
database in any case, so old host states cause retries but no overcommit.
""",
    ),
]
