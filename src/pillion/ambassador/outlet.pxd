# The C side of outlet.py.

from pillion.http.codec.block cimport Block

cdef Py_ssize_t _full_bytes

cdef class Outlet:
    cdef object _send
    cdef object _loop
    cdef Py_ssize_t _count
    cdef object _timer
    cdef object _kept
    cdef Py_ssize_t _kept_bytes
    cdef double _again_s
    cdef readonly Block gathered
    cdef readonly long long lines
    cdef readonly long long dropped
    cdef readonly long long refused

    cpdef object add(self, bytes line)
    cpdef object added(self)
    cpdef object flush(self)
    cdef bint _handed(self, bytes data) except -1
