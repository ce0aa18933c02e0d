"""The compiled parts: one Python source each, compiled by Cython when a compiler is there, interpreted when not."""

import os

from setuptools import Extension, setup

COMPILED: list[str] = [
    "src/pillion/ambassador/balance.py",
    "src/pillion/ambassador/breaker.py",
    "src/pillion/ambassador/budget.py",
    "src/pillion/ambassador/concurrency.py",
    "src/pillion/ambassador/endpoint.py",
    "src/pillion/ambassador/endpoints.py",
    "src/pillion/ambassador/exchange.py",
    "src/pillion/ambassador/facts.py",
    "src/pillion/ambassador/field_rules.py",
    "src/pillion/ambassador/fields.py",
    "src/pillion/ambassador/forwarded.py",
    "src/pillion/ambassador/hub.py",
    "src/pillion/ambassador/inward.py",
    "src/pillion/ambassador/line.py",
    "src/pillion/ambassador/live.py",
    "src/pillion/ambassador/metrics.py",
    "src/pillion/ambassador/outlet.py",
    "src/pillion/ambassador/outward.py",
    "src/pillion/ambassador/pool.py",
    "src/pillion/ambassador/rate.py",
    "src/pillion/ambassador/record_text.py",
    "src/pillion/ambassador/redaction.py",
    "src/pillion/ambassador/request_log.py",
    "src/pillion/ambassador/rewrite.py",
    "src/pillion/ambassador/route_match.py",
    "src/pillion/ambassador/router.py",
    "src/pillion/ambassador/spans.py",
    "src/pillion/ambassador/tier.py",
    "src/pillion/ambassador/trace.py",
    "src/pillion/ambassador/wall.py",
    "src/pillion/ambassador/ways.py",
    "src/pillion/ambassador/window.py",
    "src/pillion/api/access.py",
    "src/pillion/api/application.py",
    "src/pillion/api/config.py",
    "src/pillion/api/dispatch.py",
    "src/pillion/http/codec/block.py",
    "src/pillion/http/codec/encode.py",
    "src/pillion/http/codec/events.py",
    "src/pillion/http/codec/framing.py",
    "src/pillion/http/codec/head.py",
    "src/pillion/http/codec/names.py",
    "src/pillion/http/codec/reader.py",
    "src/pillion/http/codec/requests.py",
    "src/pillion/http/codec/responses.py",
    "src/pillion/http/paths.py",
    "src/pillion/http/server/connection.py",
    "src/pillion/http/server/counters.py",
    "src/pillion/http/server/messages.py",
    "src/pillion/http/server/outgoing.py",
    "src/pillion/http/server/shared.py",
    "src/pillion/logs/facts.py",
    "src/pillion/logs/jsonline.py",
    "src/pillion/logs/lines.py",
    "src/pillion/logs/protobuf.py",
    "src/pillion/logs/recognise.py",
    "src/pillion/logs/times.py",
]


def _extensions() -> list[Extension]:
    if os.environ.get("PILLION_PURE") == "1" or not COMPILED:
        return []
    try:
        from Cython.Build import cythonize
    except ImportError:
        return []
    modules = [
        Extension(
            path.removeprefix("src/").removesuffix(".py").replace("/", "."),
            [path],
            extra_compile_args=["-O2", "-g0", "-Wno-unused-function"],
        )
        for path in COMPILED
    ]
    # What one .pxd says of another's classes is compiled in: either all of a package is compiled, or none of it.
    built = cythonize(
        modules,
        build_dir="build",
        nthreads=os.cpu_count() or 1,
        compiler_directives={"language_level": "3"},
    )
    for module in built:
        # Said here, since cythonize forgets it: what does not compile is left out, and its source interpreted.
        module.optional = True
    return built


setup(
    ext_modules=_extensions(),
    options={"build_ext": {"parallel": os.cpu_count() or 1}},
)
