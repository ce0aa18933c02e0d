cimport cython
from libc.stdint cimport int64_t


@cython.final
cdef class Facts:
    cdef public bytes body, level, trace, span
    cdef public int64_t time_ns
    cdef public int severity, flags
    cdef public object attributes

    cpdef begin(self, bytes body)


cpdef set_trace(Facts facts, str trace, str span)
