# The C side of redaction.py.

cimport cython

cdef object _SEPARATORS
cdef Py_ssize_t _MOST_NAMES

cdef class Redaction:
    cdef frozenset _exact
    cdef dict _known
    cdef object _pattern

    cpdef bint hides(self, str name) except -1
    cdef object _judge(self, str name)
    @cython.locals(parts=list, part=str, name=str, changed=bint, at=Py_ssize_t, end=Py_ssize_t)
    cpdef str query(self, str query)
