# The C side of paths.py.

cpdef tuple split_target(str target)
cpdef str normalise(str path)
cpdef str decode_segment(str segment)
