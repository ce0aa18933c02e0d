# The C side of trace.py.

cimport cython

from pillion.http.codec.events cimport Headers

ctypedef const unsigned char* octet_p

cdef int TRACEPARENT, TRACESTATE
cdef bytes _HEX, _hex_table, _NO_TRACE, _NO_SPAN
cdef int _FILLS_PER_SEED, _FILL_BYTES, _STATE_MEMBERS

cdef class Trace:
    cdef readonly str trace_id
    cdef readonly str parent_id
    cdef readonly str span_id
    cdef readonly bint sampled
    cdef readonly bytes lines

cdef class Ids:
    cdef object _entropy
    cdef object _random
    cdef int _left
    cdef str _digits
    cdef Py_ssize_t _at

    @cython.locals(at=Py_ssize_t, found=str)
    cpdef str digits(self, int count)
    cpdef double share(self) except? -1.0

cdef Ids _ids

@cython.locals(parent=bytes, known=bint, span_id=str, trace_id=str, parent_id=str, text=str, flags=str, sampled=bint, lines=bytes, state=bytes, share=cython.double)
cpdef Trace begin(Headers headers, object settings, Ids ids=*)
@cython.locals(table=octet_p)
cdef bint _is_hex(octet_p octets, Py_ssize_t first, Py_ssize_t last) noexcept
cdef bint _is_id(octet_p octets, Py_ssize_t first, Py_ssize_t last) noexcept
@cython.locals(octets=octet_p, size=Py_ssize_t, version=bytes)
cpdef bint is_traceparent(bytes value) except -1
cpdef bint is_tracestate(bytes value) except -1
