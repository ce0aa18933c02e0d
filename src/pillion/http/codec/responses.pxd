# The C side of responses.py.

cimport cython

from .events cimport Headers, ResponseHead
from .framing cimport keep_alive, refuse_repeats
from .head cimport read_fields
from .reader cimport MessageReader

cdef class ResponseParser(MessageReader):
    cdef bint _allow_close
    cdef str _method
    cdef bint _upgrade
    @cython.locals(start=Py_ssize_t, end=Py_ssize_t, first=Py_ssize_t, headers=Headers, status=int, minor=int)
    cdef object _read_head(self)
