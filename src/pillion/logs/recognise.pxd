cimport cython
from libc.stdint cimport int64_t

from pillion.logs cimport raw
from pillion.logs.facts cimport Facts, set_trace
from pillion.logs.jsonline cimport read_json
from pillion.logs.times cimport TimeParser

cdef dict _LEVELS, _KLOG
cdef Py_ssize_t _WINDOW, _RAREST


@cython.final
cdef class Recogniser:
    cdef TimeParser _times
    cdef bint _json, _all, _level, _time
    cdef bytes _word
    cdef int _number

    @cython.locals(facts=Facts)
    cpdef Facts recognise(self, bytes data, int64_t arrival_ns)

    cpdef read(self, Facts facts, bytes data, int64_t arrival_ns)

    @cython.locals(size=Py_ssize_t, first=cython.int)
    cdef _recognise(self, Facts facts, bytes data, int64_t arrival_ns)

    @cython.locals(times=TimeParser, at=Py_ssize_t, second=cython.int)
    cdef _plain(self, Facts facts, bytes data, Py_ssize_t size, int first, int64_t arrival_ns)

    @cython.locals(end=Py_ssize_t, start=Py_ssize_t, length=Py_ssize_t, letter=cython.int, upper=cython.bint,
                   lower=cython.int, before=cython.int, after=cython.int, whole=cython.bint)
    cdef _level_after(self, Facts facts, bytes data, Py_ssize_t at, Py_ssize_t size)

    @cython.locals(opened=cython.bint, start=Py_ssize_t, upper=cython.bint, letter=cython.int, length=Py_ssize_t,
                   after=cython.int)
    cdef _level_first(self, Facts facts, bytes data, Py_ssize_t at, Py_ssize_t size)

    @cython.locals(word=bytes)
    cdef bint _is_level(self, Facts facts, bytes data, Py_ssize_t start, Py_ssize_t end) except -1

    @cython.locals(found=int64_t)
    cdef bint _klog(self, Facts facts, bytes data, int first, int64_t arrival_ns) except -1

    @cython.locals(close=Py_ssize_t, at=Py_ssize_t, priority=cython.int)
    cdef Py_ssize_t _syslog(self, Facts facts, bytes data, int64_t arrival_ns) except -1

    cdef bint _common_log(self, Facts facts, bytes data, int64_t arrival_ns) except -1
    cdef _logfmt(self, Facts facts, bytes data, int64_t arrival_ns)


cdef _find_trace(Facts facts, bytes data)
