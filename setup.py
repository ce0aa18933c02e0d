"""The compiled parts: one Python source each, compiled by Cython when a compiler is there, interpreted when not."""

import os

from setuptools import Extension, setup

COMPILED: list[str] = [
    "src/pillion/http/codec/encode.py",
    "src/pillion/http/codec/events.py",
    "src/pillion/http/codec/framing.py",
    "src/pillion/http/codec/head.py",
    "src/pillion/http/codec/reader.py",
    "src/pillion/http/codec/requests.py",
    "src/pillion/http/codec/responses.py",
    "src/pillion/http/paths.py",
    "src/pillion/http/server/connection.py",
    "src/pillion/http/server/messages.py",
    "src/pillion/http/server/outgoing.py",
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
    built = cythonize(modules, build_dir="build", compiler_directives={"language_level": "3"})
    for module in built:
        # Said here, since cythonize forgets it: what does not compile is left out, and its source interpreted.
        module.optional = True
    return built


setup(ext_modules=_extensions())
