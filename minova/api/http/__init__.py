# SPDX-License-Identifier: Apache-2.0
"""The HTTP framework of the API; it imports nothing of the resources.

================ ===========================================================
routes           an endpoint as one row: method, path, handler, policy rule
request          ``ApiRequest``, the only argument of every handler
pagination       page sizes, and links to the next page
microversion     the supported versions, and the change that each one brings
middleware       request ids, URL, microversion and project of a request
auth             authentication by Keystone, the embedded identity or none
keystone         validation of tokens by Keystone
replies          the reply, with safe headers
errors           the one map from an error to an HTTP reply
================ ===========================================================
"""
