# The C side of responses.py.

cimport cython

from .events cimport Headers, ResponseHead, response_head
from .framing cimport keep_alive, refuse_repeats, response_length
from .head cimport Shape, answer_head_by_byte, read_fields, read_status_line
from .reader cimport MessageReader

cdef Shape _shape

cdef class ResponseParser(MessageReader):
    cdef bint _allow_close
    cdef str _method
    cdef bint _upgrade
    cpdef object expect(self, str method, bint upgrade=*)
    @cython.locals(found=Headers, end=Py_ssize_t, first=Py_ssize_t, headers=Headers, status=int, minor=int, reason=bytes)
    cdef object _read_head(self)
