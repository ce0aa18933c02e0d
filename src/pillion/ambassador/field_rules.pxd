# The C side of field_rules.py.

cdef class FieldRules:
    cdef readonly bytes lines
    cdef readonly frozenset removed
