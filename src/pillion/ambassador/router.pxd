# The C side of router.py.

cimport cython

from pillion.http.codec.events cimport Headers

from .field_rules cimport FieldRules
from .rewrite cimport PathRewrite, Redirection
from .route_match cimport Conditions, PathPattern

cdef class RouteMatch
cdef class _Segments

cdef class CompiledRoute:
    cdef list _cumulated
    cdef Redirection _redirect
    cdef PathRewrite _rewrite
    cdef long long _total
    cdef readonly Conditions conditions
    cdef readonly bytes host
    cdef readonly tuple hosts
    cdef readonly str name
    cdef readonly PathPattern path
    cdef readonly RouteMatch plain
    cdef readonly int redirect_status
    cdef readonly FieldRules request_rules
    cdef readonly FieldRules response_rules
    cdef readonly object spec
    cdef readonly tuple targets
    cdef readonly bint unconditional

    cpdef str pick_target(self, object random)
    cpdef str target_for(self, RouteMatch match, str path, str query)
    cpdef bytes redirect_to(self, RouteMatch match, str path, str query)

cdef class RouteMatch:
    cdef readonly dict captures
    cdef readonly CompiledRoute route

cdef class Router:
    cdef RouteMatch _always
    cdef dict _by_class
    cdef frozenset _exact
    cdef frozenset _suffixes
    cdef readonly tuple routes

    @cython.locals(segments=_Segments, end=Py_ssize_t, segment=str, found=tuple, route=CompiledRoute, captures=dict)
    cpdef RouteMatch match(self, str host, str path, str query, str method, Headers headers)
    cpdef dict buckets(self, str host)
    @cython.locals(at=Py_ssize_t, suffix=str)
    cdef str _class_of(self, str host)
    cdef _Segments _segments(self, str host)
    cdef _Segments _sort(self, str name)
    cpdef object _take(self, tuple routes)

cdef class _Segments:
    cdef readonly list routes
    cdef readonly frozenset names
    cdef readonly dict sorted

    @cython.locals(route=CompiledRoute, found=tuple)
    cpdef tuple routes_of(self, object segment)
