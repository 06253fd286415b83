# SPDX-License-Identifier: Apache-2.0
"""What the services may ask of each other, and what carries it.

Each method that crosses a process is declared here once, with its version and
its timeout; client and server are made from that declaration. Nothing here
decides or acts.
"""
