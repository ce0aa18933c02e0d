# The C side of trace.py.

cimport cython

from pillion.http.codec.block cimport Block
from pillion.http.codec.events cimport Headers

ctypedef const unsigned char* octet_p

cdef int TRACEPARENT, TRACESTATE
cdef bytes _HEX, _hex_table, _NO_TRACE, _NO_SPAN
cdef int _FILLS_PER_SEED, _FILL_BYTES, _STATE_MEMBERS

cdef class Trace:
    cdef readonly str trace_id
    cdef readonly str span_id
    cdef readonly bint sampled
    cdef bytes _parent
    cdef bytes _state

    cpdef object write(self, Block block)

cdef class Ids:
    cdef object _entropy
    cdef object _random
    cdef int _left
    cdef str _digits
    cdef Py_ssize_t _at

    @cython.locals(at=Py_ssize_t, found=str, first=cython.Py_UCS4)
    cpdef str digits(self, int count)
    cpdef double share(self) except? -1.0

cdef Ids _ids

cpdef Trace begin(Headers headers, object settings, Ids ids=*)
@cython.locals(octets=octet_p, parent=bytes, span_id=str, trace_id=str, flags=int, sampled=bint, state=bytes)
cpdef Trace begin_as(Headers headers, bint enabled, double share, Ids ids)
@cython.locals(trace=Trace)
cdef Trace _trace(str trace_id, str span_id, bint sampled, bytes parent, bytes state)
@cython.locals(table=octet_p)
cdef bint _is_hex(octet_p octets, Py_ssize_t first, Py_ssize_t last) noexcept
cdef bint _is_id(octet_p octets, Py_ssize_t first, Py_ssize_t last) noexcept
@cython.locals(octets=octet_p, size=Py_ssize_t, version=bytes)
cpdef bint is_traceparent(bytes value) except -1
cpdef bint is_tracestate(bytes value) except -1
