# The C side of pool.py.

cimport cython

from .outward cimport Outward

cdef class Pool:
    cdef public list idle
    cdef public double idle_s
    cdef public Py_ssize_t most_idle
    cdef public Py_ssize_t requests
    cdef public Py_ssize_t opened
    cdef public long long reused
    cdef public long long stale
    cdef public bint closed

    @cython.locals(one=Outward, since=cython.double, idle=list)
    cpdef Outward take(self, double now, double within_s)
    cpdef bint give(self, Outward one, double now) except -1
    cpdef object forget(self, Outward one)
