# SPDX-License-Identifier: Apache-2.0
"""The hypervisors: what can be asked of one, and the two that answer.

A driver is asked; it never calls back, knows no operation and no database.
Whatever it does may be asked again after a crash at any point inside: each
method looks first and does what is missing.
"""
