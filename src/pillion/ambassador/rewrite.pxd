# The C side of rewrite.py.

from .route_match cimport PathPattern

cdef class Template:
    cdef list _names
    cdef list _parts
    cdef str _text

    cpdef str fill(self, dict values)

cdef class PathRewrite:
    cdef PathPattern _pattern
    cdef Template _template
    cdef bint _whole

    cpdef str target(self, dict captures, str path, str query)

cdef class Redirection:
    cdef bint _open
    cdef PathPattern _pattern
    cdef Template _template

    cpdef str location(self, dict captures, str path, str query)

cdef str _join(str prefix, PathPattern pattern, str path)
