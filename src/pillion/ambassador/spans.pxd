# The C side of spans.py.

cimport cython

from .facts cimport Facts
from .outlet cimport Outlet
from .request_log cimport RequestLog

cdef class Spans:
    cdef RequestLog _log
    cdef readonly Outlet outlet
    cdef readonly long long written

    cpdef object write(self, Facts facts)
    @cython.locals(end_ns=cython.longlong, more=str)
    cpdef bytes encode(self, Facts facts)
