cimport cython
from libc.stdint cimport int64_t


@cython.final
cdef class Line:
    cdef readonly int64_t offset, end, time_ns
    cdef readonly bytes data
    cdef readonly bint cut


@cython.final
cdef class Loss:
    cdef public int64_t offset, end, time_ns, lost
    cdef public str why


@cython.locals(line=Line)
cdef Line _line(int64_t offset, int64_t end, int64_t time_ns, bytes data, bint cut)


@cython.final
cdef class LineSplitter:
    cdef Py_ssize_t _cap
    cdef int64_t _next, _pending_time
    cdef bytearray _pending
    cdef bint _entering
    cdef Loss _loss

    @cython.locals(offset=int64_t, cap=Py_ssize_t, last=Py_ssize_t, index=Py_ssize_t, size=Py_ssize_t,
                   parts=list, data=bytes, first=bytes, first_time=int64_t, line_time=int64_t, items=list)
    cpdef list feed(self, int64_t time_ns, bytes payload)

    cpdef list gap(self, int64_t end, int64_t time_ns, str why)
    cpdef list finish(self)
    cdef list _flush(self, bint cut)

    @cython.locals(at=Py_ssize_t, room=Py_ssize_t, loss=Loss, found=bint)
    cdef bytes _resume(self, bytes payload, list items)

    @cython.locals(at=Py_ssize_t, offset=int64_t, data=bytes)
    cdef _shorten_pending(self, list items)

    @cython.locals(at=Py_ssize_t, end=int64_t)
    cdef _cut(self, int64_t offset, int64_t time_ns, bytes data, list items)


@cython.locals(at=Py_ssize_t)
cdef Py_ssize_t _cut_before(bytes data, Py_ssize_t cap)
