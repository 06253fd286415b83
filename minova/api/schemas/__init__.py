# SPDX-License-Identifier: Apache-2.0
"""What a request may hold.

``bodies`` checks JSON documents, ``queries`` what stands behind the ``?``;
``types`` are the values that occur in several places. The rest of the modules
are the schemas, one for each noun. Keys, types and bounds are those that the
Compute API reference documents.
"""
