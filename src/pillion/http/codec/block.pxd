# The C side of block.py.

cimport cython

from . cimport octets

cdef bint COMPILED
cdef Py_ssize_t _FIRST_BYTES, _KEPT_BYTES, _DIGITS

ctypedef const unsigned char* source_p

@cython.final
cdef class Block:
    cdef unsigned char* _octets
    cdef list _pieces
    cdef Py_ssize_t _room
    cdef bytearray _space
    cdef readonly Py_ssize_t size

    @cython.locals(size=Py_ssize_t, at=Py_ssize_t)
    cpdef object put(self, bytes piece)
    @cython.locals(size=Py_ssize_t, at=Py_ssize_t, source=source_p)
    cdef object put_part(self, bytes data, Py_ssize_t first, Py_ssize_t last)
    cpdef object put_ascii(self, str text)
    @cython.locals(size=Py_ssize_t, at=Py_ssize_t)
    cpdef object put_latin(self, str text)
    @cython.locals(digits=cython.int, rest=cython.ulonglong)
    cpdef object put_number(self, unsigned long long number)
    @cython.locals(to=cython.p_uchar, first=Py_ssize_t, at=Py_ssize_t)
    cpdef object put_digits(self, unsigned long long number, int digits)
    @cython.locals(to=cython.p_uchar, text=bytes)
    cpdef bytes take(self)
    cpdef object clear(self)
    @cython.locals(room=Py_ssize_t, space=bytearray)
    cdef object _grow(self, Py_ssize_t size)
