# The C side of endpoint.py.

from .breaker cimport Breaker

cdef class Endpoint:
    cdef public Py_ssize_t active
    cdef public bytes authority
    cdef public double born_s
    cdef public Breaker breaker
    cdef public double due_s
    cdef public long long failures
    cdef public Py_ssize_t index
    cdef public str key
    cdef public bint named
    cdef public long long number
    cdef public int place
    cdef public object pool
    cdef public bint queued
    cdef public long long requests
    cdef public object spec
    cdef public object tier
    cdef public long long turn
    cdef public long long weight
