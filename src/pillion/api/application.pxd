# The C side of application.py.

cimport cython

from pillion.http.server.messages cimport Request, Response

from .access cimport Access
from .dispatch cimport Dispatch, Methods

cdef class Application:
    cdef object _context
    cdef Access _access
    cdef Dispatch _routes
    cdef Dispatch _probes
    cdef object _under_way
    cdef object _quiet

    @cython.locals(found=tuple, values=tuple)
    cdef object _answer(self, Request request)
    @cython.locals(access=Access, listener=str, found=tuple)
    cdef tuple _find(self, Request request)
    @cython.locals(found=tuple, methods=Methods)
    cdef tuple _route(self, Dispatch routes, Request request)

cdef Response _not_allowed(Request request, Methods methods)
