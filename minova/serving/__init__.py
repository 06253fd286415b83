# SPDX-License-Identifier: Apache-2.0
"""Listening sockets: connections of strangers, HTTP and TLS over them.

================= ============================================================
module            what it holds
================= ============================================================
connection_bounds how many connections there may be, of all and of one address
acceptor          accepts connections; a thread for each that has asked
http_server       the HTTP server of a process, and its listening socket
http_listener     the connections of the HTTP server, with bounds and deadlines
http_channel      one connection: asks the application before it reads a body
http_admission    the question to the application, and its answer
request_body      a body in memory or streamed
certificate       the certificate of a host, known by its fingerprint
relay             a relay between two sockets, in one thread
================= ============================================================
"""
