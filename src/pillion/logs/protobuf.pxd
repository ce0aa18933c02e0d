cimport cython
from libc.stdint cimport int64_t

from pillion.logs.facts cimport Facts
from pillion.logs.lines cimport Line, Loss
from pillion.logs.recognise cimport Recogniser

cdef object _DOUBLE, _FIXED32
cdef bytes _CUT
cdef int _DEEPEST, _MOST_ATTRIBUTES


@cython.final
cdef class ProtobufRecords:
    cdef bytes _constant
    cdef str _stream
    cdef bytearray _data, _own
    cdef readonly Py_ssize_t count

    cpdef bytes take(self)

    @cython.locals(end=Py_ssize_t, line=Line, facts=Facts)
    cpdef Py_ssize_t fill(self, list items, Py_ssize_t at, Recogniser recogniser, Py_ssize_t size,
                          Py_ssize_t count) except -1

    @cython.locals(body=bytes, size=Py_ssize_t, value_size=Py_ssize_t, record_size=Py_ssize_t,
                   data=bytearray, own=bytearray, level=bytes, length=Py_ssize_t)
    cpdef add(self, Facts facts, int64_t offset, int64_t time_ns, bint cut)

    @cython.locals(size=Py_ssize_t, level=bytes)
    cdef Py_ssize_t _record_size(self, Facts facts, int64_t offset, bint cut, Py_ssize_t value_size) except -1


@cython.locals(size=Py_ssize_t)
cdef Py_ssize_t varint_size(int64_t value)

cdef put_varint(bytearray data, int64_t value)

cdef put_fixed64(bytearray data, int64_t value)

cpdef bytes valid_utf8(bytes data)

@cython.locals(out=bytearray)
cdef bytes _field(int tag, bytes data)

cdef bytes _text(str value)

cpdef bytes key_value(str key, object value)

@cython.locals(out=bytearray)
cdef bytes _any(object value, int depth)

@cython.locals(count=Py_ssize_t, name=bytes, name_size=Py_ssize_t, text=bytes, size=Py_ssize_t,
               value_size=Py_ssize_t)
cdef _put_attributes(bytearray out, dict attributes)
