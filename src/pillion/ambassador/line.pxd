# The C side of line.py.

cdef class Line:
    cdef object _line
    cdef bint _calling
    cdef readonly Py_ssize_t waiting

    cpdef object join(self, waiter)
    cpdef object leave(self, waiter)
    cpdef bint call(self) except -1
