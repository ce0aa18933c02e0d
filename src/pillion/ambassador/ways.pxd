# The C side of ways.py.

cimport cython

from pillion.http.codec.block cimport Block
from pillion.http.codec.events cimport RequestHead, ResponseHead
from pillion.http.paths cimport normalise, split_target

from .exchange cimport Exchange
from .fields cimport max_forwards, write_answer, write_request
from .inward cimport Inward
from .live cimport Followed, LimitState, LiveRoute, LiveUpstream
from .outward cimport Outward
from .router cimport CompiledRoute, RouteMatch, Router
from .trace cimport Trace

cdef dict _METHOD_BYTES
cdef frozenset _SPECIAL
cdef int PILLION_VIA

cdef class Way:
    cdef public object credentials
    cdef public LiveUpstream default
    cdef public str direction
    cdef public object egress
    cdef public int forwarded
    cdef public bytes hop
    cdef public bytes hop_line
    cdef public int hops
    cdef public bint keeps_host
    cdef public int kind
    cdef public str listener
    cdef public object live_routes
    cdef public object named
    cdef public bint normalise
    cdef public Router router
    cdef public object tunneller
    cdef public int underscores

    @cython.locals(head=RequestHead, client=Inward, special=bint, authority=str, path=str, query=str, upstream=LiveUpstream, followed=Followed, route=LiveRoute, match=RouteMatch, compiled=CompiledRoute, via=bytes)
    cpdef object resolve(self, Exchange exchange, double now)
    cdef object _limited(self, LimitState limit, Exchange exchange, double now, str what)
    @cython.locals(head=RequestHead, upstream=LiveUpstream, trace=Trace, route=LiveRoute, compiled=CompiledRoute, host=bytes, method=bytes, via=bytes)
    cpdef object write_request_head(self, Block block, Exchange exchange, Outward conn)
    @cython.locals(route=LiveRoute, compiled=CompiledRoute)
    cpdef object write_answer_head(self, Block block, Exchange exchange, ResponseHead head)
