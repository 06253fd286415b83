# SPDX-License-Identifier: Apache-2.0
"""The errors with status 401 and 403: credentials, policy and quota."""

from minova.exception.base import Refused


class Unauthorized(Refused):
    """The request has no valid token."""

    msg_fmt = 'The request you have made requires authentication.'
    status = 401


class Forbidden(Refused):
    """The policy does not allow the action."""

    msg_fmt = "Policy doesn't allow %(action)s to be performed."
    status = 403


class BootFromVolumeRequired(Forbidden):
    """Policy allows flavors without a root disk for volumes only."""

    msg_fmt = (
        'Only volume-backed servers are allowed for flavors with zero disk.'
    )


class QuotaExceeded(Forbidden):
    """The request exceeds the quota of the project."""

    msg_fmt = (
        'Quota exceeded for %(overs)s: Requested %(requested)s, but already '
        'used %(used)s of %(allowed)s %(overs)s'
    )


class PortLimitExceeded(QuotaExceeded):
    """The request exceeds the project's limit of ports."""

    msg_fmt = (
        'Maximum number of ports exceeded: Requested %(requested)s, but '
        'already used %(used)s of %(allowed)s ports. Delete servers, or have '
        'the operator raise the quota of ports.'
    )


class NetworkShareExceeded(QuotaExceeded):
    """The request exceeds the share of a project in a shared network."""

    msg_fmt = (
        'Quota exceeded for addresses of network %(network)s: Requested '
        '%(requested)s, but already used %(used)s of the %(allowed)s that one '
        'project may have in this shared network. Choose another network, or '
        'have the operator create a network for the project.'
    )


class KeyPairLimitExceeded(Forbidden):
    """The user has reached the limit of key pairs."""

    msg_fmt = 'Quota exceeded, too many key pairs. A user may have %(limit)s.'
