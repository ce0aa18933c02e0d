# The C side of fields.py.

cimport cython

from pillion.http.codec.events cimport Headers, RequestHead, ResponseHead

from .field_rules cimport FieldRules

cdef int _ENDS_HERE, _TE, _UPGRADE, _TRAILER, _REWRITTEN, _CLAIM, _TRACE, _MAX_FORWARDS
cdef dict _HOP_BY_HOP, _REQUEST
cdef frozenset _FRAMING, _MEANT_FOR_ALL, _NAMES_NOTHING, _NO_TRAILERS, _NOT_OURS

@cython.locals(headers=Headers, gone=frozenset, connection=bytes, special=dict, parts=list, options=bytes, fields=list,
               field=tuple, name=bytes, value=bytes, kind=int, protocol=bytes, asked=bytes, method=str)
cpdef bytes request_block(RequestHead head, bytes host, bytes peer, bytes scheme, int hops, int forwarded,
                          int underscores, bytes extra=*, FieldRules rules=*)

@cython.locals(headers=Headers, gone=frozenset, connection=bytes, special=dict, parts=list, fields=list, field=tuple,
               name=bytes, value=bytes, kind=int)
cpdef bytes response_block(ResponseHead head, FieldRules rules=*)

cpdef list trailer_fields(Headers trailers)

@cython.locals(value=bytes)
cpdef bytes upgrade_of(RequestHead head)

cpdef object max_forwards(RequestHead head)

cdef frozenset _named(Headers headers, frozenset refused, int status)
cdef bint _takes_trailers(Headers headers) except -1
