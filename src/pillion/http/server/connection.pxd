# The C side of connection.py.

cimport cython

from pillion.http.codec.events cimport RequestHead
from pillion.http.codec.requests cimport RequestParser
from pillion.http.paths cimport split_target

from .messages cimport Request, Response
from .outgoing cimport encode_head
from .shared cimport Shared

cdef class Connection:
    cdef object __weakref__
    cdef public Shared server
    cdef public object peer
    cdef public str listener
    cdef public bint served
    cdef public object state
    cdef public RequestParser parser
    cdef public bint write_paused
    cdef object _transport
    cdef long long _since
    cdef long long _write_since
    cdef object _body
    cdef object _task
    cdef Request _handled
    cdef bint _streaming
    cdef bint _reading
    cdef bint _eof
    cdef Py_ssize_t _lingered
    cdef object _drained

    @cython.locals(turns=Py_ssize_t)
    cpdef object _pump(self)
    cdef object _pump_soon(self)
    cdef object _rest(self)
    @cython.locals(path=str, query=str, request=Request, server=Shared)
    cdef bint _serve(self, RequestHead head) except -1
    cdef Response _answer_to(self, object error, Request request)
    cdef bint _keeps(self, Request request, Response response) except -1
    @cython.locals(length=cython.longlong, keep=bint, head=bytes)
    cdef bint _answer(self, Request request, Response response, bytes body) except -1
    cdef bint _answer_invalid(self, Request request, object error) except -1
    cdef bint _finish(self, bint keep) except -1
    cdef object _refuse(self, object status, object reason)
    cdef object _linger(self)
    cpdef object write(self, bytes data)
    cpdef object pause_reading(self)
    cpdef object resume_reading(self)
    cpdef object abort(self)
    cpdef object close(self)
