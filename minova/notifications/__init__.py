# SPDX-License-Identifier: Apache-2.0
"""What is told to the world: which events, what stands in them, how it goes.

A notification is written in the transaction that does what it tells of. A
service that sends one directly does not exist.
"""
