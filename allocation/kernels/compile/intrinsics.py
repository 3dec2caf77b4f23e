"""An instruction of the machine that Python has no word for: memory is told early what will be read."""

from llvmlite.ir import Constant, FunctionType, IntType, VoidType
from numba import types
from numba.core.cgutils import get_or_insert_function
from numba.extending import intrinsic


@intrinsic
def prefetch(typing, amounts, place):
    """Fetch an amount into the second cache, which waits for more at a time than the first, and go on meanwhile."""

    def generate(context, builder, signature, arguments):
        pointer, number = IntType(8).as_pointer(), IntType(32)
        array = context.make_array(signature.args[0])(context, builder, arguments[0])
        where = builder.bitcast(builder.gep(array.data, [arguments[1]]), pointer)
        kind = FunctionType(VoidType(), [pointer, number, number, number])
        fetch = get_or_insert_function(builder.module, kind, "llvm.prefetch.p0i8")
        builder.call(fetch, [where, Constant(number, 0), Constant(number, 2), Constant(number, 1)])
        return context.get_dummy_value()

    return types.void(amounts, types.uint64), generate
