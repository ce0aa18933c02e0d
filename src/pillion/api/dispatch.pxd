# The C side of dispatch.py.

cimport cython

cdef class Methods:
    cdef readonly dict routes
    cdef readonly bytes allow

cdef class _Node:
    cdef dict exact
    cdef _Node any
    cdef Methods rest
    cdef Methods methods

cdef class Dispatch:
    cdef dict _exact
    cdef dict _below
    cdef _Node _root

    @cython.locals(methods=Methods, start=Py_ssize_t, node=_Node, child=_Node, values=list, segments=list, segment=str, index=Py_ssize_t)
    cpdef tuple find(self, str path)
    cdef tuple _rest(self, _Node node, list values, list segments)
    @cython.locals(one=_Node, two=_Node)
    cdef object _find_below(self)
    @cython.locals(node=_Node)
    cdef object _plant(self, object route)
