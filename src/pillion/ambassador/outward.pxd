# The C side of outward.py.

cimport cython

from pillion.http.codec.responses cimport ResponseParser

from .endpoint cimport Endpoint
from .exchange cimport Exchange
from .hub cimport Hub
from .pool cimport Pool

cdef class Outward:
    cdef public double connect_s
    cdef public bint counted
    cdef public Endpoint endpoint
    cdef public bint eof
    cdef public Exchange exchange
    cdef public Hub hub
    cdef public double idle_since_s
    cdef public ResponseParser parser
    cdef public Pool pool
    cdef public bint pooled
    cdef public bint reading
    cdef public long long served
    cdef public object transport
    cdef public bint write_paused

    @cython.locals(exchange=Exchange)
    cpdef object data_received(self, data)
    @cython.locals(parser=ResponseParser)
    cdef object _read(self, Exchange exchange)
    cpdef object write(self, bytes data)
    cpdef object pause_reading(self)
    cpdef object resume_reading(self)
    cpdef object release(self, double now, bint keep)
    cpdef object release_unused(self, double now)
    cpdef object detach(self)
    cpdef object leave(self)
    cdef object _uncount(self)
    cpdef object close(self)
    cpdef object abort(self)
