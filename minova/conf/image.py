# SPDX-License-Identifier: Apache-2.0
"""[image]: the image service, Glance or the embedded one.

The options of the connection to Glance (``auth_type``, ``endpoint_override``,
``timeout`` and so on) are in the same group but not in this list: they belong
to keystoneauth, and ``images/glance_requests.py`` registers them at its first
use.
"""

from oslo_config import cfg

GROUP = 'image'

OPTIONS = [
    cfg.StrOpt(
        'service',
        default='glance',
        choices=[
            ('glance', 'Glance, over HTTP'),
            ('embedded', 'the Image v2 service inside minova-api'),
        ],
        help="""
The image service of instances. ``glance`` needs the options of keystoneauth in
this group, such as auth_type and auth_url; ``embedded`` needs ``directory``.
""",
    ),
    cfg.StrOpt(
        'directory',
        default='$state_path/images',
        help="""
The directory of the embedded image service. A compute service on another host
needs the same directory, for example over NFS, with the right to write: it
reads images from there and stores snapshots there, not over HTTP.
""",
    ),
    cfg.IntOpt(
        'max_upload_bytes',
        default=50 * 1024**3,
        min=1,
        help="""
The maximum size of an image in the embedded image service, in bytes. A larger
upload is refused with 413.
""",
    ),
    cfg.IntOpt(
        'attempts',
        default=4,
        min=1,
        max=20,
        help="""
The number of attempts for one request to Glance, 1 to 20. The delay between
two attempts is 1, 2, 4 ... seconds, at most 10. Only temporary failures are
retried, such as a refused connection or 503. ``timeout`` limits each attempt.
""",
    ),
    cfg.IntOpt(
        'download_timeout',
        default=3600,
        min=1,
        help="""
Seconds for which the download of one image from Glance may take, all attempts
included; at least 1. Then the build of the instance fails on this host.
""",
    ),
    cfg.IntOpt(
        'upload_timeout',
        default=3600,
        min=1,
        help="""
Seconds for which the upload of one snapshot to Glance may take, all attempts
included; at least 1. Then it starts again, until the operation has lasted for
two hours; the snapshot then fails, and its image is deleted.
""",
    ),
]
