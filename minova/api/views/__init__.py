# SPDX-License-Identifier: Apache-2.0
"""How things are shown: from rows to the documents that clients know.

Nothing here asks a database or a policy; whoever makes a view says what may
be seen. Documents hold exactly the keys that the Compute API documents for
the microversion, because clients check them strictly.
"""
