# SPDX-License-Identifier: Apache-2.0
"""The replies of Glance: the errors that they become."""

from collections.abc import Iterator
import contextlib
import re
from typing import Final

import requests

from minova import exception

SERVICE: Final = 'The image service'
#: The statuses of a temporary failure.
RETRYABLE_STATUSES: Final = frozenset({408, 429, 500, 502, 503, 504})


class RetryableError(Exception):
    """A temporary failure; the request is retried."""


def raise_for_status(status: int, image_id: str) -> requests.Response:
    """Raise the error for a reply without an image.

    ImageNotFound, ImageNotActive, Unavailable or RetryableError.
    """
    if status in (403, 404):
        raise exception.ImageNotFound(image_id=image_id)
    if status in RETRYABLE_STATUSES:
        raise RetryableError(f'its reply is {status}.')
    if status == 204:
        raise exception.ImageNotActive(image_id=image_id)
    raise exception.Unavailable(what=SERVICE, reason=f'its reply is {status}.')


@contextlib.contextmanager
def require_form(what: str) -> Iterator[None]:
    """Raise Unavailable when a reply has another form than ``what``."""
    try:
        yield
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise exception.Unavailable(
            what=SERVICE, reason=f'its reply is not {what} ({error!r}).'
        ) from error


def refused_error(
    cause: str, response: requests.Response
) -> exception.OperationFailed:
    """Return the error for a request that Glance refuses."""
    return exception.OperationFailed(cause=cause, reason=text_of(response))


def text_of(response: requests.Response) -> str:
    """Return the status of a reply, and the beginning of its text."""
    text = re.sub(r'<[^<>]*>|\s+', ' ', response.text[:2000]).strip()
    return f'the image service replies {response.status_code} {text[:200]}'


def upload_timeout_error(image_id: str) -> exception.Unavailable:
    """Return the error for data that is not stored in time."""
    return exception.Unavailable(
        what=SERVICE,
        reason=(
            f'the data of image {image_id} was not stored in time; see '
            '[image] upload_timeout.'
        ),
    )
