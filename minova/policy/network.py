# SPDX-License-Identifier: Apache-2.0
"""The rules of the read-only networking service, with Neutron's names.

Users see the networks that their project may use, and the ports of its
servers, whatever these rules allow.
"""

from typing import Final

from minova.policy.defaults import ADMIN
from minova.policy.defaults import ANY
from minova.policy.defaults import READER
from minova.policy.defaults import Row

_ROOT: Final = '/v2.0'


def _reads(plural: str) -> tuple[str, str]:
    return f'GET {_ROOT}/{plural}', f'GET {_ROOT}/{plural}/{{row_id}}'


# fmt: off
RULES: Final[tuple[Row, ...]] = (
    ('get_network', READER, 'See networks', *_reads('networks')),
    ('get_subnet', READER, 'See subnets', *_reads('subnets')),
    ('get_port', READER, 'See ports', *_reads('ports')),
    ('get_port:binding:host_id', ADMIN, 'See the hosts of ports', *_reads('ports')),
    ('get_router', READER, 'See routers, of which there are none', *_reads('routers')),
    ('get_floatingip', READER, 'See floating IPs, of which there are none', *_reads('floatingips')),
    ('get_security_group', READER, 'See security groups, of which there are none', *_reads('security-groups')),
    ('get_security_group_rule', READER, 'See their rules, of which there are none', *_reads('security-group-rules')),
    ('get_extension', ANY, 'See the extensions of the service', f'GET {_ROOT}', *_reads('extensions')),
    ('get_quota', READER, 'Show the quotas of a project', f'GET {_ROOT}/quotas/{{project_id}}', f'GET {_ROOT}/quotas/{{project_id}}/default', f'GET {_ROOT}/quotas/{{project_id}}/details'),
    ('update_quota', ADMIN, 'Set the quotas of a project', f'PUT {_ROOT}/quotas/{{project_id}}'),
    ('delete_quota', ADMIN, 'Return the quotas of a project to the defaults', f'DELETE {_ROOT}/quotas/{{project_id}}'),
)
# fmt: on
