# SPDX-License-Identifier: Apache-2.0
"""[quota]: the limits of a project or a user; -1 means unlimited."""

from oslo_config import cfg

GROUP = 'quota'

_OVERRIDE = 'PUT /os-quota-sets sets another limit for one project.'

OPTIONS = [
    cfg.IntOpt(
        'instances',
        default=10,
        min=-1,
        help=f"""
The maximum number of instances of a project. -1: unlimited. {_OVERRIDE}
""",
    ),
    cfg.IntOpt(
        'cores',
        default=20,
        min=-1,
        help=f"""
The maximum number of vCPUs of all instances of a project. -1: unlimited.
{_OVERRIDE}
""",
    ),
    cfg.IntOpt(
        'ram',
        default=51200,
        min=-1,
        help=f"""
The maximum memory of all instances of a project, in MiB. -1: unlimited.
{_OVERRIDE}
""",
    ),
    cfg.IntOpt(
        'metadata_items',
        default=128,
        min=-1,
        help=f"""
The maximum number of metadata items of one instance. -1: unlimited.
{_OVERRIDE}
""",
    ),
    cfg.IntOpt(
        'injected_files',
        default=5,
        min=-1,
        help="""
The maximum number of files to inject into one instance. -1: unlimited. It is
shown to clients only: instances with files to inject are refused.
""",
    ),
    cfg.IntOpt(
        'injected_file_content_bytes',
        default=10240,
        min=-1,
        help="""
The maximum size of a file to inject, in bytes. -1: unlimited. It is shown to
clients only, see injected_files.
""",
    ),
    cfg.IntOpt(
        'injected_file_path_length',
        default=255,
        min=-1,
        help="""
The maximum length of the path of a file to inject, in bytes. -1: unlimited. It
is shown to clients only, see injected_files.
""",
    ),
    cfg.IntOpt(
        'key_pairs',
        default=100,
        min=-1,
        help=f"""
The maximum number of key pairs of a user, in all projects together. -1:
unlimited. {_OVERRIDE}
""",
    ),
    cfg.IntOpt(
        'server_groups',
        default=10,
        min=-1,
        help="""
The maximum number of server groups of a project. -1: unlimited. It is shown to
clients only: there are no server groups.
""",
    ),
    cfg.IntOpt(
        'server_group_members',
        default=10,
        min=-1,
        help="""
The maximum number of instances of one server group. -1: unlimited. It is shown
to clients only, see server_groups.
""",
    ),
    cfg.IntOpt(
        'ports',
        default=500,
        min=-1,
        help="""
The maximum number of ports of a project: the addresses of all its instances,
in all networks together. -1: unlimited. "minova-manage quota set --ports", or
with the embedded identity service PUT /network/v2.0/quotas, sets another limit
for one project. See also shared_network_percent.
""",
    ),
    cfg.IntOpt(
        'shared_network_percent',
        default=50,
        min=1,
        max=100,
        help="""
The largest share of the addresses of a shared network that one project may
have, in percent, 1 to 100; at least one address. A network is shared if it has
no project. The default keeps one project from taking all addresses. 100: a
project may take all of them. See also ports.
""",
    ),
]
