"""Text of an LLVM module in, machine code out: parse, a short pass pipeline, code generation, link.

Invariant: machine code lives exactly as long as the `NativeCode` that owns it.
Start at `compile_ir`; `load_object` is the same road from a disk cache; the pipeline is `_Passes`.
"""

from __future__ import annotations

import ctypes
import itertools
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import llvmlite.binding as llvm

from staged_ad.lowering.once import LOCK, once

ENTRY = "body"
"""Name of the one exported function: ``i64 body(ptr slots)``."""

_AVX512 = ("avx512f", "avx512dq", "avx512bw", "avx512vl")

_serial = itertools.count()


@dataclass(frozen=True, eq=False)
class NativeCode:
    """Machine code of one module; dropped code is freed, so keep this object while `address` is in use."""

    address: int
    object_code: bytes = field(repr=False)
    text: str | None = field(repr=False)
    # The tracker unloads the code when collected; the compiler must outlive every tracker.
    _library: llvm.ResourceTracker = field(repr=False)
    _compiler: llvm.LLJIT = field(repr=False)

    @property
    def optimised_ir(self) -> str:
        """The module after the passes, computed anew at each request."""
        with LOCK:
            return str(_optimise(self._require_text()))

    @property
    def assembly(self) -> str:
        """The assembly of the module, computed anew at each request."""
        with LOCK:
            assembly: str = target_machine().emit_assembly(_optimise(self._require_text()))
            return assembly

    def _require_text(self) -> str:
        if self.text is None:
            raise ValueError("this code was loaded from an object file without its LLVM text")
        return self.text


def compile_ir(text: str, symbols: Mapping[str, int]) -> NativeCode:
    """Compile a complete module that defines ``i64 @body(ptr)``.

    Parameters
    ----------
    text
        LLVM IR with opaque pointers, normally ``header() + ...``.
    symbols
        Address of each external function by name. Names that the module does not use cost nothing.

    Raises
    ------
    RuntimeError
        The text does not parse, or a symbol has no address.
    """
    with LOCK:
        code: bytes = target_machine().emit_object(_optimise(text))
        return load_object(code, symbols, text)


def load_object(code: bytes, symbols: Mapping[str, int], text: str | None = None) -> NativeCode:
    """Link object code that `compile_ir` made on a machine with this one's `fingerprint`."""
    with LOCK:
        builder = llvm.JITLibraryBuilder().add_object_img(code).export_symbol(ENTRY)
        for name, address in symbols.items():
            if name.encode() in code:
                builder.import_symbol(name, address)
        # Code generation may call the C library by itself: memset for a zeroing loop, fmod for frem.
        builder.add_current_process()
        compiler = _compiler()
        try:
            library = builder.link(compiler, f"staged_ad.{next(_serial)}")
        except RuntimeError as error:
            raise RuntimeError(f"{error}; functions without an address: {_missing(text or '', symbols)}") from None
        return NativeCode(library[ENTRY], code, text, library, compiler)


def _missing(text: str, symbols: Mapping[str, int]) -> list[str]:
    declared = re.findall(r"^declare [^@]*@([\w.$]+)\(", text, re.MULTILINE)
    return [
        name for name in declared if name not in symbols and not name.startswith("llvm.") and address_of(name) is None
    ]


def address_of(name: str) -> int | None:
    """Address of a C symbol already loaded in this process, or None."""
    try:
        return ctypes.cast(getattr(_process(), name), ctypes.c_void_p).value
    except AttributeError:
        return None


@once
def _process() -> ctypes.CDLL:
    return ctypes.CDLL(None)


@once
def header() -> str:
    """The two lines every module starts with."""
    machine = target_machine()
    return f'target triple = "{machine.triple}"\ntarget datalayout = "{machine.target_data}"\n'


@once
def fingerprint() -> str:
    """What object code depends on besides its text; belongs in the key of a disk cache."""
    version = ".".join(str(part) for part in llvm.llvm_version_info)
    return f"llvm {version}; {llvm.get_host_cpu_name()}; {llvm.get_host_cpu_features().flatten()}"


@once
def _features() -> Mapping[str, bool]:
    features: Mapping[str, bool] = llvm.get_host_cpu_features()
    return features


def has_feature(name: str) -> bool:
    """Whether the CPU has a feature, by LLVM's name for it (``avx2``, ``avx512f``, ``fma``)."""
    return bool(_features().get(name, False))


@once
def simd_bytes() -> int:
    """Width of the widest vector register worth using."""
    if all(has_feature(name) for name in _AVX512):
        return 64
    return 32 if has_feature("avx2") else 16


@once
def _initialise() -> None:
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    llvm.initialize_native_asmparser()


@once
def target_machine() -> llvm.TargetMachine:
    """The host, with every feature it has."""
    with LOCK:
        _initialise()
        return llvm.Target.from_default_triple().create_target_machine(
            cpu=llvm.get_host_cpu_name(), features=llvm.get_host_cpu_features().flatten(), opt=2, jit=True
        )


@once
def _compiler() -> llvm.LLJIT:
    return llvm.create_lljit_compiler(target_machine(), suppress_errors=True)


def _optimise(text: str) -> llvm.ModuleRef:
    # A context of its own: the global one would keep every type and constant until the process ends.
    module = llvm.parse_assembly(text, llvm.create_context())
    module.verify()  # LLVM's passes end the process on text that is not well formed
    passes = _passes()
    # A builder of its own: each run leaves callbacks behind in it, which the next run calls.
    builder = llvm.create_pass_builder(target_machine(), passes.options)
    passes.inline.run(module, builder)
    for function in module.functions:
        if not function.is_declaration:
            passes.simplify.run(function, builder)
    if "llvm.loop.unroll" in text:
        passes.unroll.run(module, builder)
    return module


class _Passes(NamedTuple):
    """`alwaysinline`, LLVM's O1 function pipeline, and unrolling for modules that ask for it.

    The emitter writes vectors, inlines and fuses by itself, so O2's whole-module part, vectorisers and
    GVN find nothing; they cost two thirds of the time of the passes.
    """

    options: llvm.PipelineTuningOptions
    inline: llvm.ModulePassManager
    simplify: llvm.FunctionPassManager
    unroll: llvm.ModulePassManager


@once
def _passes() -> _Passes:
    # Made once: llvmlite 0.50 never frees a pass manager (18 kB each time).
    options = llvm.create_pipeline_tuning_options(speed_level=1)
    options.loop_vectorization = options.slp_vectorization = False
    builder = llvm.create_pass_builder(target_machine(), options)
    inline, unroll = llvm.create_new_module_pass_manager(), llvm.create_new_module_pass_manager()
    inline.add_always_inliner_pass()
    unroll.add_loop_unroll_pass()
    return _Passes(options, inline, builder.getFunctionPassManager(), unroll)
