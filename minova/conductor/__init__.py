# SPDX-License-Identifier: Apache-2.0
"""The conductor: decides where things go, owns what is owed, sweeps up.

Any number of equal replicas. What only one of them does at a time (publishing
notifications, sweeping) is held by a lease in the database.
"""
