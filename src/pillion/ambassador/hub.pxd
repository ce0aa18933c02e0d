# The C side of hub.py. What is not on the way of a request stays plain Python.

cimport cython

from pillion.http.codec.block cimport Block
from pillion.http.codec.events cimport Headers

from .exchange cimport Exchange
from .facts cimport Facts
from .inward cimport Inward
from .metrics cimport Red
from .pool cimport Pool
from .request_log cimport RequestLog
from .trace cimport Ids, Trace, begin_as
from .wall cimport WallClock
from .ways cimport Way

cdef double _NEVER, _LEAST_SWEEP_S
cdef int _SWEPT_IN_A_ROW
cdef long long _NO_TICK

cdef class Door:
    cdef public str name
    cdef public Way way

cdef class Hub:
    cdef public object loop
    cdef public object tasks
    cdef public object activity
    cdef public object connector
    cdef public object tunnels
    cdef public object random
    cdef public RequestLog log
    cdef public Red red
    cdef public object spans
    cdef public bint draining
    cdef public bint closing_answers
    cdef public double next_sweep_s
    cdef public long long timeouts
    cdef public Py_ssize_t outward_open
    cdef public long long requests
    cdef public object changed
    cdef Ids _ids
    cdef bint _traces
    cdef double _traced_share
    cdef public object request_limits
    cdef public object answer_limits
    cdef public long long header_ticks
    cdef public long long idle_ticks
    cdef public long long write_ticks
    cdef public long long linger_ticks
    cdef readonly Block head
    cdef Block _spare
    cdef WallClock _wall
    cdef dict _exchanges
    cdef dict _connections
    cdef dict _pools
    cdef object _sweeper
    cdef object _ticker
    cdef long long _ticks
    cdef double _ticked_s
    cdef bint _asked
    cdef bint _asleep
    cdef long long _slept_most
    cdef long long _nearest
    cdef object _pool_sweeper
    cdef long long _date_s
    cdef bytes _date_line

    cpdef Trace begin_trace(self, Headers headers)
    cpdef long long wall_ns(self, double at_s) except? -1
    cpdef object began(self, Exchange exchange)
    cpdef object ended(self, Exchange exchange)
    @cython.locals(block=Block)
    cpdef Block borrow(self)
    cpdef object give_back(self, Block block)
    @cython.locals(exchange=Exchange, now=cython.double, first=cython.double, deadline_s=cython.double, due=list)
    cpdef object _sweep(self)
    @cython.locals(exchange=Exchange, now=cython.double)
    cpdef object _expire(self, list due)
    cpdef long long read_tick(self) except -99
    cpdef object opened(self, Inward client)
    cpdef object closed(self, Inward client)
    cpdef object pool_kept(self, Pool pool)
    @cython.locals(client=Inward)
    cpdef object _tick_some(self, list clients)
    cdef long long _due(self, Inward client) except? -99
