# The C side of events.py: fields become struct members, the source stays plain Python.

cdef class Headers:
    cdef list _items
    cdef readonly dict index
    cpdef object get(self, bytes name)
    cpdef list get_all(self, bytes name)
    cpdef bint repeated(self)

cdef class RequestHead:
    cdef readonly str method
    cdef readonly str target
    cdef readonly int minor
    cdef readonly Headers headers
    cdef readonly long long length
    cdef readonly bint keep_alive
    cdef readonly bytes authority
    cdef readonly bytes upgrade
    cdef readonly bytes expect

cdef class ResponseHead:
    cdef readonly int status
    cdef readonly bytes reason
    cdef readonly int minor
    cdef readonly Headers headers
    cdef readonly long long length
    cdef readonly bint keep_alive
    cdef readonly bint informational
    cdef readonly bint tunnel

cdef class End:
    cdef readonly Headers trailers

cdef class Signal:
    cdef readonly str name
