# The C side of encode.py.

cimport cython

cdef dict _STATUS_LINES
cdef frozenset _FRAMING
cdef set _CHECKED
cdef list _LENGTHS

@cython.locals(parts=list, name=bytes, value=bytes, block=bytes)
cpdef bytes encode_fields(object fields)

@cython.locals(line=bytes, block=bytes)
cpdef bytes encode_response_head(int status, object fields, long long length, bytes extra=*)

@cython.locals(known=bytes)
cdef bytes _framing(long long length)
cdef object _check_name(bytes name)
