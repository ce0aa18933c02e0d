# The C side of inward.py.

cimport cython

from pillion.http.codec.events cimport RequestHead
from pillion.http.codec.requests cimport RequestParser

from .exchange cimport Exchange
from .hub cimport Door, Hub

cdef int FRESH, IDLE, HEAD, QUEUED, BUSY, LINGER, TUNNEL, GONE
cdef int _LINGER_BYTES, _BUFFER_BYTES, _TURNS

cdef class Inward:
    cdef public bytes asked
    cdef public str asked_text
    cdef public bint body_held
    cdef public Door door
    cdef public bint eof
    cdef public Exchange exchange
    cdef public Hub hub
    cdef public long long lingered
    cdef public RequestParser parser
    cdef public object peer
    cdef public bytes peer_bytes
    cdef public str peer_text
    cdef public bytes scheme
    cdef public bint pumping
    cdef public bint reading
    cdef public bint reading_body
    cdef public bint served
    cdef public long long since
    cdef public int state
    cdef public object transport
    cdef public bint write_paused
    cdef public long long write_since

    @cython.locals(state=int)
    cpdef object data_received(self, data)
    @cython.locals(turns=int)
    cpdef object _pump(self)
    @cython.locals(exchange=Exchange)
    cdef object _begin(self, RequestHead head)
    @cython.locals(exchange=Exchange)
    cdef object _read_body(self)
    cpdef object hold_body(self)
    cpdef object go_on_body(self)
    cdef object _rest(self)
    cpdef object done(self, bint keep)
    cdef object _refuse(self, int status, str why)
    cpdef object linger(self)
    cpdef object write(self, bytes data)
    cpdef object pause_reading(self)
    cpdef object resume_reading(self)
    cpdef object close(self)
    cpdef object abort(self)
