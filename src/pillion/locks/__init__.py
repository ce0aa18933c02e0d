"""Locks with fencing tokens and leader election, as leases on keys of the store."""
