# The C side of forwarded.py.

from pillion.http.codec.events cimport Headers

cpdef list forwarded_fields(Headers headers, bytes peer, bytes scheme, bytes asked, int hops, int flags)
cpdef bytes client_address(Headers headers, bytes peer, int hops, int flags=*)
cpdef list trusted_nodes(Headers headers, int hops)
cpdef list trusted_elements(Headers headers, int hops)
cdef bytes _said_scheme(Headers headers, int hops)
cdef bytes _said_host(Headers headers, int hops)
cdef bytes _last(Headers headers, bytes name, int hops)
cdef bytes _element(bytes who, bytes scheme, bytes asked)
cdef bytes _bare(bytes node)
