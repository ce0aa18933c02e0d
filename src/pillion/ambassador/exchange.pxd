# The C side of exchange.py.

cimport cython

from pillion.http.codec cimport octets
from pillion.http.codec.block cimport Block
from pillion.http.codec.events cimport End, RequestHead, ResponseHead

from .endpoint cimport Endpoint
from .facts cimport Facts
from .hub cimport Door, Hub
from .inward cimport Inward
from .live cimport Lasting, LiveRoute, LiveUpstream, Times
from .outward cimport Outward
from .pool cimport Pool
from .trace cimport Trace
from .ways cimport Way

cdef int CONTENT_LENGTH
cdef int QUEUED, DELAYED, CONNECTING, SENT, ANSWERING, TUNNEL, DONE
cdef int _WHOLE_BYTES, _MOST_INFORMATIONAL, _MOST_LOOKS, _LEAST_RETRIED
cdef double _NEVER, _FRESH_S
cdef dict _status_lines
cdef list _NOBODY

cdef class Exchange(Facts):
    cdef public bint answered
    cdef public Endpoint asked
    cdef public double began_s
    cdef public bint begun
    cdef public bint chunked
    cdef public Inward client
    cdef public bint close_after
    cdef public bint complete
    cdef public Outward conn
    cdef public double deadline_s
    cdef public Door door
    cdef public Endpoint last
    cdef public Endpoint live_endpoint
    cdef public object hash_key
    cdef public RequestHead head
    cdef public Endpoint held
    cdef public bint reusable
    cdef public Hub hub
    cdef public int informational
    cdef public list kept_body
    cdef public long long kept_bytes
    cdef public double last_s
    cdef public Block out
    cdef public bint placed
    cdef public bint replayable
    cdef public object retry
    cdef public LiveRoute live_route
    cdef public bint sent_any
    cdef public int state
    cdef public str target
    cdef public object ticket
    cdef public Times timeouts
    cdef public object timer
    cdef public long long token
    cdef public double total_at_s
    cdef public Trace trace
    cdef public bytes trailer_block
    cdef public list tried
    cdef public double try_at_s
    cdef public LiveUpstream live_upstream
    cdef public Way way

    @cython.locals(now=cython.double, hub=Hub, upstream=LiveUpstream)
    cpdef object begin(self)
    @cython.locals(upstream=LiveUpstream)
    cdef object _admitted(self, double now)
    @cython.locals(pool=Pool, conn=Outward, upstream=LiveUpstream, endpoint=Endpoint, other=Endpoint, within_s=cython.double)
    cdef object _try(self, double now)
    @cython.locals(pool=Pool, upstream=LiveUpstream, endpoint=Endpoint)
    cdef Endpoint _roomy(self, Endpoint full, double now)
    @cython.locals(upstream=LiveUpstream, lasting=Lasting)
    cdef object _wait(self, Endpoint endpoint, Pool pool, double now)
    @cython.locals(now=cython.double, upstream=LiveUpstream, endpoint=Endpoint, pool=Pool, conn=Outward)
    cpdef object room(self)
    @cython.locals(upstream=LiveUpstream, endpoint=Endpoint, pool=Pool)
    cdef object _waits_no_more(self)
    @cython.locals(upstream=LiveUpstream)
    cdef object _go(self, Endpoint endpoint, Pool pool, Outward conn, double now)
    @cython.locals(head=RequestHead, length=cython.longlong, block=Block, body=bytes)
    cdef object _send(self, Outward conn, double now)
    @cython.locals(endpoint=Endpoint)
    cdef object _verdict(self, double now, object failed)
    cpdef object body(self, bytes data)
    cpdef object body_end(self, End end)
    @cython.locals(now=cython.double, status=int, upstream=LiveUpstream, block=Block)
    cpdef object answer_head(self, Outward conn, ResponseHead head)
    @cython.locals(request=RequestHead, client=Inward, length=cython.longlong, out=Block, stated=bytes, headless=bint, status=int, close=bint)
    cdef object _pass_on(self, Outward conn, ResponseHead head, double now)
    @cython.locals(out=Block, size=Py_ssize_t)
    cpdef object answer_data(self, bytes data)
    cdef object _send_whole(self, bytes data)
    @cython.locals(out=Block, conn=Outward, now=cython.double, upstream=LiveUpstream)
    cpdef object answer_end(self, End end)
    cpdef object flush(self)
    @cython.locals(out=Block, data=bytes)
    cdef object _flush(self, double now)
    cdef Block _gathering(self)
    cdef object _gathered(self)
    cdef object _begins(self, double now)
    cdef object _take_back(self)
    @cython.locals(client=Inward)
    cdef object _finish(self, double now, bint keep)
    @cython.locals(upstream=LiveUpstream)
    cdef object _told(self, double now)
    @cython.locals(head=RequestHead, trace=Trace, way=Way)
    cdef object _write_down(self, double now)
    @cython.locals(due=cython.double, idle_s=cython.double)
    cdef object _arm(self)

@cython.locals(known=tuple, line=bytes)
cdef bytes _status_line(int status, bytes reason)
