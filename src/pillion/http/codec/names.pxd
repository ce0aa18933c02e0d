# The C side of names.py.

cdef class Field:
    cdef readonly bytes name
    cdef readonly bytes line
    cdef readonly int number

cpdef Field field_of(bytes name)
