# The C side of request_log.py.

cimport cython

from pillion.http.codec cimport octets
from pillion.http.codec.block cimport Block
from pillion.http.codec.events cimport Headers

from .facts cimport Facts
from .outlet cimport Outlet
from .record_text cimport are_plain, quoted
from .redaction cimport Redaction
from .trace cimport Ids
from .wall cimport WallClock

cdef Py_ssize_t _NAME_BYTES, _METHOD_BYTES, _HOST_BYTES, _PEER_BYTES, _REASON_BYTES, _HEADERS_BYTES, _HEADER_BYTES
cdef Py_ssize_t _MOST_PLACES
cdef tuple _PLACE

cdef class Place

cdef class RequestLog:
    cdef bint _enabled
    cdef bint _errors
    cdef Place _last
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

    @cython.locals(trace_id=str, share=cython.longlong, outlet=Outlet)
    cpdef object write(self, Facts facts, Headers headers)
    @cython.locals(block=Block)
    cpdef bytes encode(self, Facts facts, Headers headers)
    @cython.locals(method=str, host=str, path=str, query=str, peer=str, reason=str, note=str, place=Place, more=bytes, plain=bint)
    cdef object _put(self, Block block, Facts facts, Headers headers)
    @cython.locals(place=Place)
    cdef Place _place(self, Facts facts)
    cdef bytes _more(self, Headers headers)

cdef class Place:
    cdef str _direction
    cdef str _endpoint
    cdef str _listener
    cdef str _route
    cdef str _upstream
    cdef bytes text

    cdef bint is_of(self, Facts facts)

@cython.locals(micros=cython.longlong)
cdef object put_millis(Block block, double seconds)
cpdef str millis(double seconds)
cdef str _wide(str text, Py_ssize_t most_bytes)
