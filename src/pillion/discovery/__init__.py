"""Discovery: which instances of which service there are, announced by sidecars or registered by hand.

Announcements lie in the runtime directories and are held by the keepers' locks; registrations lie in the store.
`registry` merges both, in pure code; everything else brings news to it or carries its news on.
"""
