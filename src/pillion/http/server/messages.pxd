# The C side of messages.py: fields become struct members, the source stays plain Python.

from pillion.http.codec.events cimport Headers, RequestHead

cdef class Response:
    cdef public object status
    cdef public object headers
    cdef public object body
    cdef public object length
    cdef public object trailers
    cdef public bint close

cdef class Request:
    cdef public RequestHead head
    cdef public str method
    cdef public str path
    cdef public str query_string
    cdef public Headers headers
    cdef public object peer
    cdef public str listener
    cdef public object trailers
    cdef public object body
    cdef public bint complete
    cdef public bint waits
    cdef object _query
