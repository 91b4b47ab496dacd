// What -fsanitize=undefined calls where the C++ standard gives up: a fault with its line.
#include "runtime.h"

using namespace emulator;

struct Place {  // every handler's first argument starts with one
    const char *file;
    unsigned line, column;
};

[[noreturn]] static void fail_here(const Place *where, const char *what, long number = 0) {
    char place[256];
    snprintf(place, sizeof place, "%s:%u", short_name(where->file), where->line);
    fail(place, what, number);
}

#define HANDLER(name, message)                                                 \
    extern "C" [[noreturn]] void __ubsan_handle_##name(const Place *where) {   \
        fail_here(where, "undefined behaviour: " message);                     \
    }
HANDLER(add_overflow_abort, "a signed addition overflows")
HANDLER(sub_overflow_abort, "a signed subtraction overflows")
HANDLER(mul_overflow_abort, "a signed multiplication overflows")
HANDLER(negate_overflow_abort, "a negation overflows")
HANDLER(divrem_overflow_abort, "a division by zero, or one that overflows")
HANDLER(shift_out_of_bounds_abort, "a shift by a negative or too large amount, or out of a sign")
HANDLER(float_cast_overflow_abort, "a floating-point number does not fit into the integer type")
HANDLER(type_mismatch_v1_abort, "an access through a null or misaligned pointer")
HANDLER(pointer_overflow_abort, "an address computation overflows")
HANDLER(load_invalid_value_abort, "a bool or enum holds a value that is not its own")
HANDLER(builtin_unreachable, "unreachable code is reached")

extern "C" [[noreturn]] void __ubsan_handle_out_of_bounds_abort(const Place *where, long index) {
    fail_here(where, "index %ld out of bounds of an array", index);
}
