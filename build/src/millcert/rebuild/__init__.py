"""Building again, to compare: under other surroundings here, or as one more builder of what somebody else published.

``outside``     what may differ around a build, and must not matter
``run``         one build from a clean clone, in surroundings and with a store of its own
``comparison``  sets of built files held against one another, to the first byte that differs
``witness``     a published wheel rebuilt from what its provenance names
"""
