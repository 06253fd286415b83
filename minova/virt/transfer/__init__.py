# SPDX-License-Identifier: Apache-2.0
"""The transfer of files from one host to another, verified block by block.

The package knows no hypervisor and no paths: a ``ReceiverStorage`` of the
destination supplies the paths. Trust comes from the message bus: it carries
the destination's *transfer ticket* to the source, with a token for one guest
and the fingerprint of the only certificate that may see the token.

Requests over TLS, each with the token, for the guest UUID::

    PUT  /v1/UUID                           the manifest: names and sizes
    POST /v1/UUID/KIND/NAME/compare         digests of blocks; which differ?
    PUT  /v1/UUID/KIND/NAME/blocks/NUMBER   one block
    POST /v1/UUID/commit                    all is sent: give it its names

Both hosts compare a file block by block by digest, and the source sends the
blocks that differ: holes cost nothing, blocks that arrived before a crash are
not sent again, and the destination verifies every block before a file gets its
final name. Every request may be repeated.

=========== ================================================================
module      what it holds
=========== ================================================================
blocks      files as blocks: digests, reading, writing, sparse encoding
socket      the listening socket, whose port survives a restart
receiver    the destination: manifest, blocks, tickets
server      the destination: the HTTPS server
client      the source: the HTTPS client
sender      the source: compare, send, commit
=========== ================================================================
"""
