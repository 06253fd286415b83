# SPDX-License-Identifier: Apache-2.0
"""The transfer: files of one host are handed over to another one, whole.

No hypervisor is in it, and nothing of where files are kept: a *place* of the
destination says that. The bus is the anchor of trust: the destination's
*transfer_ticket* reaches the source by it, with a token for one guest and the
fingerprint of the certificate to which alone the token is shown.

Over TLS, each request with the token, for the guest UUID::

    PUT  /v1/UUID                           what will come: names and sizes
    POST /v1/UUID/KIND/NAME/compare         digests of blocks; which differ?
    PUT  /v1/UUID/KIND/NAME/blocks/NUMBER   one block
    POST /v1/UUID/whole                     all has come: give it its name

A file is compared block by block, by digest, and what differs is sent: so
holes cost nothing, what has come before a crash is not sent again, and it is
the destination that finds every block as the source says before anything gets
its final name. Every request may be repeated.

=========== ================================================================
ranges      files as blocks: what is in them, what is sent of them
certificate the destination's certificate, by whose fingerprint it is known
reception   the destination: what has come, until it is whole
server      the destination: its requests
client      the source: its requests
sending     the source: in which order it asks
=========== ================================================================
"""
