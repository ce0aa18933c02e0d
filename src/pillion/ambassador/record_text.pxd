# The C side of record_text.py.

cimport cython

cdef bytes _UNSAFE

@cython.locals(data=bytes)
cpdef bint is_plain(str text) except -1
cpdef bint are_plain(str method, str host, str path, str query, str peer, str reason, str note) except -1
@cython.locals(char=cython.Py_UCS4)
cdef bint _plain_by_char(str text) except -1
cpdef str quoted(str text, Py_ssize_t most_bytes)
