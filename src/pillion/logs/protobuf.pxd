cimport cython
from libc.stdint cimport int64_t

from pillion.logs cimport raw
from pillion.logs.facts cimport Facts
from pillion.logs.lines cimport Line, Loss
from pillion.logs.recognise cimport Recogniser

cdef object _DOUBLE, _FIXED32
cdef bytes _CUT, _OFFSET
cdef int _DEEPEST, _MOST_ATTRIBUTES, _ROOM_BYTES, _FRAME_BYTES


@cython.final
cdef class ProtobufRecords:
    cdef bytes _constant
    cdef str _stream
    cdef bytearray _buffer, _own
    cdef Py_ssize_t _own_size
    cdef readonly Py_ssize_t size, count

    @cython.locals(buffer=bytearray)
    cpdef take(self)

    @cython.locals(end=Py_ssize_t, line=Line, facts=Facts)
    cpdef Py_ssize_t fill(self, list items, Py_ssize_t at, Recogniser recogniser, Py_ssize_t size,
                          Py_ssize_t count) except -1

    @cython.locals(body=bytes, level=bytes, size=Py_ssize_t, value_size=Py_ssize_t, record_size=Py_ssize_t,
                   at=Py_ssize_t, room=Py_ssize_t, end=Py_ssize_t, buffer=bytearray,
                   data=cython.p_uchar, length=Py_ssize_t)
    cpdef add(self, Facts facts, int64_t offset, int64_t time_ns, bint cut)

    @cython.locals(size=Py_ssize_t)
    cdef Py_ssize_t _record_size(self, Facts facts, bytes level, int64_t offset, bint cut,
                                 Py_ssize_t value_size) except -1

    @cython.locals(at=Py_ssize_t, count=Py_ssize_t, own=bytearray, grown=bytearray, data=cython.p_uchar, name=str,
                   name_size=Py_ssize_t, text=str, other=bytes, size=Py_ssize_t, value_size=Py_ssize_t,
                   pair_size=Py_ssize_t, room=Py_ssize_t)
    cdef _write_own(self, dict attributes)

    @cython.locals(buffer=bytearray)
    cdef _grow(self, Py_ssize_t room)


cdef put_varint(bytearray data, int64_t value)

cpdef bytes valid_utf8(bytes data)

cdef bytes _field(int tag, bytes data)

@cython.locals(out=bytearray)
cdef bytes _head(int tag, Py_ssize_t size)

cdef bytes _text(str value)

cpdef bytes key_value(str key, object value)

@cython.locals(out=bytearray)
cdef bytes _any(object value, int depth)

cdef str _encodable(str text)
