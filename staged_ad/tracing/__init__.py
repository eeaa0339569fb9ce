"""Tracing Python functions to programs.

Invariant: there is one kind of trace and one kind of tracer.
Start at trace.py.
"""

from staged_ad.tracing.guards import Guard as Guard
from staged_ad.tracing.guards import guard as guard
from staged_ad.tracing.snapshots import literal_of as literal_of
from staged_ad.tracing.trace import Trace as Trace
from staged_ad.tracing.trace import bind as bind
from staged_ad.tracing.trace import building as building
from staged_ad.tracing.trace import compiling as compiling
from staged_ad.tracing.trace import on_device as on_device
from staged_ad.tracing.trace import run as run
from staged_ad.tracing.trace import trace_flat as trace_flat
from staged_ad.tracing.trace import traced_constant as traced_constant
from staged_ad.tracing.trace import tracing_here as tracing_here
from staged_ad.tracing.trace import unshared as unshared
from staged_ad.tracing.tracer import Tracer as Tracer
from staged_ad.tracing.tracer import lent as lent
