"""Text of an LLVM module in, object code out: parse, a short pass pipeline, code generation.

Invariant: object code depends on the text and the CPU alone, so it may be kept on disk.
Start at `compile_ir`; the pipeline is `_Passes`; `linking` makes object code run.
"""

from __future__ import annotations

import itertools
import platform
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from staged_ad.native.linking import ENTRY, NativeCode, load_object
from staged_ad.native.once import LOCK, once
from staged_ad.tracing.libraries import Late

llvm: Any = Late("llvmlite.binding")

_AVX512 = ("avx512f", "avx512dq", "avx512bw", "avx512vl")

_serial = itertools.count()


def compile_ir(text: str, symbols: Mapping[str, int]) -> NativeCode:
    """Compile and link a complete module that defines ``i64 @body(ptr)``.

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
    return load_object(object_code(text), symbols)


def object_code(text: str) -> bytes:
    """The object file of a module. Raises RuntimeError where the text does not parse."""
    with LOCK:
        code: bytes = target_machine().emit_object(_optimise(text))
        return code


def optimised_ir(text: str) -> str:
    """The text of a module after the passes."""
    with LOCK:
        return str(_optimise(text))


def assembly(text: str) -> str:
    """The assembly of a module."""
    with LOCK:
        code: str = target_machine().emit_assembly(_optimise(text))
        return code


def declared(text: str) -> list[str]:
    """The names of the functions and variables that a module expects from outside."""
    functions = re.findall(r"^declare [^@]*@([\w.$]+)\(", text, re.MULTILINE)
    variables = re.findall(r"^@([\w.$]+) = external ", text, re.MULTILINE)
    return [name for name in (*functions, *variables) if not name.startswith("llvm.")]


def link(code: bytes, symbols: Mapping[str, int]) -> NativeCode:
    """Link object code by LLVM's own linker."""
    with LOCK:
        builder = llvm.JITLibraryBuilder().add_object_img(code).export_symbol(ENTRY)
        for name, address in symbols.items():
            if name.encode() in code:
                builder.import_symbol(name, address)
        builder.add_current_process()
        compiler = _compiler()
        library = builder.link(compiler, f"staged_ad.{next(_serial)}")
        # the tracker unloads the code when collected; the compiler must outlive every tracker
        return NativeCode(library[ENTRY], (library, compiler))


@once
def header() -> str:
    """The two lines every module starts with."""
    machine = target_machine()
    return f'target triple = "{machine.triple}"\ntarget datalayout = "{machine.target_data}"\n'


def processor() -> str:
    """LLVM's name of this processor and of its features."""
    return f"{llvm.get_host_cpu_name()} {features()}"


def features() -> str:
    """Everything that this processor has and has not, as LLVM writes it."""
    text: str = llvm.get_host_cpu_features().flatten()
    return text


@once
def _features() -> Mapping[str, bool]:
    features: Mapping[str, bool] = llvm.get_host_cpu_features()
    return features


def has_feature(name: str) -> bool:
    """Whether the CPU has a feature, by LLVM's name for it (``avx2``, ``avx512f``, ``fma``)."""
    return bool(_features().get(name, False))


def converts_halves() -> bool:
    """Whether the CPU has instructions that convert float16: x86 since 2012, and all 64-bit ARM."""
    return has_feature("f16c") or platform.machine().lower() in ("aarch64", "arm64")


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
            cpu=llvm.get_host_cpu_name(), features=features(), opt=2, jit=True
        )


@once
def _compiler() -> llvm.LLJIT:
    return llvm.create_lljit_compiler(target_machine(), suppress_errors=True)


def _optimise(text: str) -> llvm.ModuleRef:
    passes = _passes()
    try:
        return _run(passes, passes.simplify, text)
    except RuntimeError:
        return _run(passes, passes.few, text)


def _run(passes: _Passes, simplify: llvm.FunctionPassManager, text: str) -> llvm.ModuleRef:
    # A context of its own: the global one would keep every type and constant until the process ends.
    module = llvm.parse_assembly(text, llvm.create_context())
    module.verify()  # LLVM's passes end the process on text that is not well formed
    # A builder of its own: each run leaves callbacks behind in it, which the next run calls.
    builder = llvm.create_pass_builder(target_machine(), passes.options)
    passes.inline.run(module, builder)
    for function in module.functions:
        if not function.is_declaration:
            simplify.run(function, builder)
    module.verify()  # so does its code generator: LLVM 22 moves shuffles before their operands now and then
    if "llvm.loop.unroll" in text:
        passes.unroll.run(module, builder)
    return module


class _Passes(NamedTuple):
    """`alwaysinline`, LLVM's O1 function pipeline, a few passes where that fails, and unrolling where it is asked for.

    The emitter writes vectors, inlines and fuses by itself, so O2's whole-module part, vectorisers and
    GVN find nothing; they cost two thirds of the time of the passes.
    """

    options: llvm.PipelineTuningOptions
    inline: llvm.ModulePassManager
    simplify: llvm.FunctionPassManager
    few: llvm.FunctionPassManager
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
    few = llvm.create_new_function_pass_manager()
    few.add_sroa_pass()
    few.add_simplify_cfg_pass()
    few.add_new_gvn_pass()
    few.add_dead_code_elimination_pass()
    return _Passes(options, inline, builder.getFunctionPassManager(), few, unroll)
