# The C side of request_log.py.

cimport cython

from pillion.http.codec.events cimport Headers

from .facts cimport Facts
from .outlet cimport Outlet
from .record_text cimport are_plain, quoted
from .redaction cimport Redaction
from .trace cimport Ids
from .wall cimport WallClock

cdef Py_ssize_t _NAME_BYTES, _METHOD_BYTES, _HOST_BYTES, _PEER_BYTES, _REASON_BYTES, _HEADERS_BYTES, _HEADER_BYTES
cdef Py_ssize_t _MOST_PLACES
cdef tuple _THREE

cdef class RequestLog:
    cdef bint _enabled
    cdef bint _errors
    cdef tuple _headers
    cdef Ids _ids
    cdef long long _limit
    cdef dict _places
    cdef Redaction _redaction
    cdef object _settings
    cdef WallClock _wall
    cdef readonly Outlet outlet
    cdef readonly long long skipped
    cdef readonly long long written

    @cython.locals(trace_id=str, share=cython.longlong)
    cpdef object write(self, Facts facts, Headers headers)
    @cython.locals(method=str, host=str, path=str, query=str, peer=str, reason=str, note=str, place=str, trace=str,
                   connect=str, first=str, more=str, line=str)
    cpdef bytes encode(self, Facts facts, Headers headers)
    cdef str _place(self, tuple key)
    cdef str _more(self, Headers headers)

@cython.locals(micros=cython.longlong)
cpdef str millis(double seconds)
