# The C side of access.py.

cimport cython

from pillion.http.server.messages cimport Request, Response

cdef class Users:
    cdef readonly object own
    cdef readonly object app
    cpdef object role(self, object uid)

cdef class Tokens:
    cdef readonly bytes app
    cdef readonly bytes operator
    cpdef object role(self, bytes token)

cdef class Access:
    cdef readonly Users users
    cdef readonly Tokens tokens
    cdef readonly frozenset hosts
    cpdef object on_unix(self, object uid)
    @cython.locals(authorization=bytes)
    cpdef object role_of(self, Request request)
    cpdef Response host(self, bytes authority)
    cpdef object on_tcp(self, bytes authorization, object needed)
