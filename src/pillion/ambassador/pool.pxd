# The C side of pool.py.

cimport cython

from .line cimport Line
from .outward cimport Outward

cdef class Pool:
    cdef public list idle
    cdef public double idle_s
    cdef public Py_ssize_t most_idle
    cdef public Py_ssize_t requests
    cdef public Py_ssize_t most
    cdef public Py_ssize_t opened
    cdef public Py_ssize_t opening
    cdef public Line line
    cdef public long long reused
    cdef public long long stale
    cdef public bint closed

    @cython.locals(one=Outward, since=cython.double, idle=list)
    cpdef Outward take(self, double now, double within_s)
    @cython.locals(one=Outward)
    cpdef bint room(self) except -1
    @cython.locals(line=Line)
    cpdef object freed(self)
    cpdef bint give(self, Outward one, double now) except -1
    cpdef object forget(self, Outward one)
