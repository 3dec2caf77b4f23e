"""Instructions of the machine that Python has no words for: bits of a word, and sending for what memory holds."""

from llvmlite.ir import Constant, FunctionType, IntType, VoidType
from numba import types
from numba.core.cgutils import get_or_insert_function
from numba.extending import intrinsic

from allocation.kernels.compile.signatures import NUMBER


@intrinsic
def first_bit(typing, word):
    """Index of the lowest bit set in a word that is not 0."""

    def generate(context, builder, signature, arguments):
        return builder.cttz(arguments[0], Constant(IntType(1), 1))

    return NUMBER(NUMBER), generate


@intrinsic
def send_for(typing, amounts, place):
    """Have memory bring an amount as near as the second cache, which waits for more at a time than the first; go on."""

    def generate(context, builder, signature, arguments):
        pointer, number = IntType(8).as_pointer(), IntType(32)
        array = context.make_array(signature.args[0])(context, builder, arguments[0])
        where = builder.bitcast(builder.gep(array.data, [arguments[1]]), pointer)
        kind = FunctionType(VoidType(), [pointer, number, number, number])
        prefetch = get_or_insert_function(builder.module, kind, "llvm.prefetch.p0i8")
        builder.call(prefetch, [where, Constant(number, 0), Constant(number, 2), Constant(number, 1)])
        return context.get_dummy_value()

    return types.void(amounts, types.uint64), generate
