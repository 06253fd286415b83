# SPDX-License-Identifier: Apache-2.0
"""[fake]: the fake hypervisor, whose guests are records only."""

from oslo_config import cfg

GROUP = 'fake'

OPTIONS = [
    cfg.StrOpt(
        'directory',
        sample_default='$state_path/fake',
        help="""
The directory of the guests of fake hosts, which outlive the services there.
All fake hosts of a cluster share it. When it is not set, a compute uses
``fake`` below [DEFAULT] state_path. With ``socket`` set,
minova-fake-hypervisor uses this directory instead, and keeps the guests in
memory when it is not set.
""",
    ),
    cfg.StrOpt(
        'socket',
        help="""
The path of the Unix socket of minova-fake-hypervisor, which holds the guests
of all fake hosts. When it is not set, each compute holds the guests of its own
host, in ``directory``.
""",
    ),
    cfg.IntOpt(
        'vcpus', default=1000, min=1, help='The number of CPUs of each host.'
    ),
    cfg.IntOpt(
        'memory_mb',
        default=8000000,
        min=1,
        help='The memory of each host, in MiB.',
    ),
    cfg.IntOpt(
        'disk_gb',
        default=600000,
        min=1,
        help='The disk space of each host, in GiB.',
    ),
    cfg.IntOpt(
        'numa_nodes',
        default=1,
        min=1,
        help="""
The number of NUMA cells of each host, which divide its CPUs and its memory.
""",
    ),
    cfg.IntOpt(
        'threads_per_core',
        default=1,
        min=1,
        help='The number of CPUs that are threads of one core.',
    ),
    cfg.ListOpt(
        'huge_pages',
        default=[],
        help="""
The huge pages of each NUMA cell, as KIB:COUNT; 2048:512 has 1 GiB of 2 MiB
pages. The pages are a part of the memory of the cell.
""",
    ),
    cfg.ListOpt(
        'architectures',
        default=['x86_64', 'i686'],
        help="""
The processor architectures of the guests that each host can run. An image with
another one in its property hw_architecture gets no host.
""",
    ),
    cfg.ListOpt(
        'traits',
        default=[
            'COMPUTE_FIRMWARE_UEFI',
            'COMPUTE_SECURITY_UEFI_SECURE_BOOT',
            'COMPUTE_SECURITY_TPM_1_2',
            'COMPUTE_SECURITY_TPM_2_0',
            'COMPUTE_SECURITY_TPM_TIS',
            'COMPUTE_SECURITY_TPM_CRB',
        ],
        help="""
The traits of each host: the firmware and the TPMs that its guests can have. A
guest that needs another one gets no host.
""",
    ),
    cfg.FloatOpt(
        'shutdown_seconds',
        default=0,
        min=0,
        help="""
Seconds that a guest takes to shut down. Above [compute] shutdown_timeout the
guest is powered off.
""",
    ),
    cfg.FloatOpt(
        'migration_seconds',
        default=0,
        min=0,
        help='Seconds that a live migration takes.',
    ),
]
