"""The content-addressed store: blobs by sha256, trees of blobs, what each derivation gave; and its upkeep.

``contents``    the store itself: atomic writes, reads only after the hash was checked
``references``  who needs what: records, trees and blobs as a graph
``garbage``     removing what nothing needs
``audit``       checking every byte
``kit``         carrying pinned inputs to a machine without a network
``difference``  what differs between two trees
"""

from millcert.store.contents import Store, default_root

__all__ = ["Store", "default_root"]
