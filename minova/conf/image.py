# SPDX-License-Identifier: Apache-2.0
"""Where images come from: a Glance, or a directory of our own.

How to reach and to log in to a Glance stands in the same group but is not
listed here: those options (``auth_type``, ``endpoint_override``, ``timeout``
and so on) are keystoneauth's, and ``images/glance.py`` registers them when it
is first used.
"""

from oslo_config import cfg

GROUP = 'image'

OPTIONS = [
    cfg.StrOpt(
        'service',
        default='glance',
        choices=[
            ('glance', 'a real Image service, reached over HTTP'),
            ('embedded', 'the small Image v2 that comes with Minova'),
        ],
        help='Which service knows the images that instances are made from.',
    ),
    cfg.StrOpt(
        'directory',
        default='$state_path/images',
        help="""
The directory of the embedded image service. A compute service that has it
mounted reads images from there and needs no HTTP; one process writes to it.
""",
    ),
    cfg.IntOpt(
        'max_upload_bytes',
        default=50 * 1024**3,
        min=1,
        help="""
The largest image that the embedded image service accepts, in bytes; a larger
one is answered with 413.
""",
    ),
    cfg.IntOpt(
        'attempts',
        default=4,
        min=1,
        max=20,
        help="""
How often a request to Glance is made in all before it is given up. Between
two attempts pass 1, 2, 4 ... seconds, 10 at most. Only failures that may pass
by themselves are tried again. See also ``timeout``, which bounds one answer.
""",
    ),
    cfg.IntOpt(
        'download_timeout',
        default=3600,
        min=1,
        help="""
How long the download of one image from Glance may take, in seconds, all
attempts together.
""",
    ),
]
