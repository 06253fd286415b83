# SPDX-License-Identifier: Apache-2.0
"""The version of the release."""

import functools
from importlib import metadata


@functools.cache
def release() -> str:
    """Return the version of the installed package."""
    try:
        return metadata.version('minova')
    except metadata.PackageNotFoundError:
        return '0.0.0'
