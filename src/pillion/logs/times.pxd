cimport cython
from libc.stdint cimport int64_t

from pillion.logs cimport raw

cdef int64_t _NS, _PAST_NS, _AHEAD_NS, _NO_ZONE


@cython.locals(era=int64_t, year_of_era=int64_t, day_of_year=int64_t)
cdef int64_t days_from_civil(int64_t year, int64_t month, int64_t day)

@cython.locals(tens=cython.int, ones=cython.int)
cdef int _two(bytes data, Py_ssize_t at) except -1


@cython.final
cdef class TimeParser:
    cdef object _utc_offset_s
    cdef int64_t _hour, _local_s, _said_s
    cdef bytes _said
    cdef public Py_ssize_t end

    @cython.locals(size=Py_ssize_t, first=cython.uchar, fifth=cython.uchar)
    cpdef int64_t parse(self, bytes data, Py_ssize_t at, int64_t arrival_ns) except -1

    cpdef int64_t parse_klog(self, bytes data, Py_ssize_t at, int64_t arrival_ns) except -1

    @cython.locals(separator=cython.uchar, year=int64_t, seconds=int64_t)
    cdef int64_t _year_first(self, bytes data, Py_ssize_t at, Py_ssize_t size, int64_t arrival_ns) except -1

    @cython.locals(separator=cython.uchar, year=int64_t, month=int64_t)
    cdef int64_t _day_first(self, bytes data, Py_ssize_t at, Py_ssize_t size, int64_t arrival_ns) except -1

    @cython.locals(name=bytes, month=int64_t, tens=cython.uchar, day=int64_t)
    cdef int64_t _month_first(self, bytes data, Py_ssize_t at, Py_ssize_t size, int64_t arrival_ns) except -1

    @cython.locals(year=int64_t, found=int64_t, end=Py_ssize_t)
    cdef int64_t _without_year(self, bytes data, Py_ssize_t at, Py_ssize_t size, int64_t month, int64_t day,
                                 int64_t arrival_ns) except -1

    @cython.locals(seconds=int64_t)
    cdef int64_t _clock(self, bytes data, Py_ssize_t at, Py_ssize_t size, int64_t year, int64_t month,
                          int64_t day, int64_t arrival_ns) except -1

    @cython.locals(hour=cython.int, minute=cython.int, second=cython.int)
    cdef int64_t _seconds(self, bytes data, Py_ssize_t at, Py_ssize_t size, int64_t year, int64_t month,
                          int64_t day) except -2

    @cython.locals(fraction=int64_t, digits=cython.int, zone=int64_t, utc=int64_t, local=int64_t)
    cdef int64_t _rest(self, bytes data, Py_ssize_t at, Py_ssize_t size, int64_t seconds,
                       int64_t arrival_ns) except -1

    @cython.locals(name=bytes, hours=cython.int, minutes=cython.int, minutes_at=Py_ssize_t, zone=int64_t)
    cdef int64_t _zone(self, bytes data, Py_ssize_t at, Py_ssize_t size) except? -1

    @cython.locals(hour=int64_t)
    cdef int64_t _local_offset(self, int64_t arrival_ns) except? -1

    cdef int64_t _plausible(self, int64_t time_ns, int64_t arrival_ns)


@cython.locals(whole=int64_t, time_ns=int64_t)
cpdef int64_t from_number(double value, int64_t arrival_ns) except -1
