# The C side of shared.py.

from .counters cimport Counters

cdef class Shared:
    cdef readonly object handler
    cdef readonly object limits
    cdef readonly object codec_limits
    cdef readonly Py_ssize_t max_pipelined
    cdef readonly Py_ssize_t buffer_bytes
    cdef readonly Counters counters
    cdef readonly object loop
    cdef public long long tick
    cdef public bint draining
    cdef public bint closing_answers
    cdef public bytes date_line
