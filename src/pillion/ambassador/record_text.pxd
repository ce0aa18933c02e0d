# The C side of record_text.py.

cimport cython

cdef bytes _UNSAFE

@cython.locals(data=bytes)
cpdef bint is_plain(str text) except -1
cpdef str quoted(str text, Py_ssize_t most_bytes)
