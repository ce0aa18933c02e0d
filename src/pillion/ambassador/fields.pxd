# The C side of fields.py.

cimport cython

from pillion.http.codec.block cimport Block
from pillion.http.codec.events cimport Headers, RequestHead, ResponseHead
from pillion.http.codec.names cimport Field

from .field_rules cimport FieldRules

cdef int _ENDS_HERE, _TE, _UPGRADE, _TRAILER, _REWRITTEN, _CLAIM, _TRACE, _MAX_FORWARDS
cdef int _GOES_ON, CONNECTION, TE
cdef bytes _request_table, _answer_table

ctypedef const unsigned char* octet_p

cdef frozenset _FRAMING, _MEANT_FOR_ALL, _NAMES_NOTHING, _NO_TRAILERS, _NOT_OURS

@cython.locals(block=Block, traced=bint)
cpdef bytes request_block(RequestHead head, bytes host, bytes peer, bytes scheme, int hops, int forwarded,
                          int underscores, bytes extra=*, FieldRules rules=*)

@cython.locals(headers=Headers, gone=frozenset, connection=bytes, options=bytes, at=Py_ssize_t, name=bytes, value=bytes,
               protocol=bytes, asked=bytes)
cpdef object write_request(Block block, RequestHead head, bytes host, bytes peer, bytes scheme, int hops, int forwarded,
                           int underscores, bint traced, FieldRules rules)

@cython.locals(kind=int, table=octet_p, field=Field, counted=bytes)
cdef object _pass_request(Block block, Headers headers, Py_ssize_t at, RequestHead head, frozenset gone, int hops, int forwarded,
                          int underscores, bint traced)

@cython.locals(block=Block)
cpdef bytes response_block(ResponseHead head, FieldRules rules=*)

@cython.locals(headers=Headers, gone=frozenset, connection=bytes, at=Py_ssize_t)
cpdef object write_answer(Block block, ResponseHead head, FieldRules rules)

@cython.locals(kind=int, table=octet_p, field=Field)
cdef object _pass_answer(Block block, Headers headers, Py_ssize_t at, ResponseHead head, frozenset gone)

cpdef list trailer_fields(Headers trailers)

@cython.locals(value=bytes)
cpdef bytes upgrade_of(RequestHead head)

cpdef object max_forwards(RequestHead head)

cdef frozenset _named(Headers headers, frozenset refused, int status)
cdef bint _takes_trailers(Headers headers) except -1
