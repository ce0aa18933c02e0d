cimport cython
from libc.stdint cimport int64_t

from pillion.logs.facts cimport Facts, set_trace
from pillion.logs.times cimport TimeParser

cdef dict _ROLES
cdef int _MESSAGE, _EVENT, _LEVEL, _TIME, _TRACE, _SPAN, _FLAGS, _TRACE_GCP, _LEVEL_NUMBER, _NESTED
cdef object _decode


@cython.locals(fields=dict, rest=dict, role=cython.int)
cpdef bint read_json(Facts facts, bytes data, TimeParser times, int64_t arrival_ns) except -1

@cython.locals(text=bytes)
cdef bint _level(Facts facts, object value) except -1

@cython.locals(found=int64_t)
cdef bint _time(Facts facts, object value, TimeParser times, int64_t arrival_ns) except -1

cdef int _flags(object value) except -1

cdef _set_trace(Facts facts, str trace, str span)
