// The kernel's parameter list, for the launcher: called through an array of pointers to arguments,
// and spelt out as text for checking what Python passes.
#pragma once

#include <utility>

namespace emulator {

template <class T>
struct Code;  // a missing one: the parameter's type is not one that the launcher passes
#define EMULATOR_CODE(T, letter)                \
    template <>                                 \
    struct Code<T> {                            \
        static constexpr char kLetter = letter; \
    };
EMULATOR_CODE(int, 'i')
EMULATOR_CODE(unsigned char, 'B')
EMULATOR_CODE(unsigned short, 'H')
EMULATOR_CODE(long long, 'q')
EMULATOR_CODE(float, 'f')
EMULATOR_CODE(double, 'd')

// A parameter's kind, ' ' by value or '*' a pointer, and the type of the value or pointed-to.
template <class T>
struct Plain {
    using Type = T;
    static constexpr char kKind = ' ';
};
template <class T>
struct Plain<T *> {
    using Type = std::remove_const_t<T>;
    static constexpr char kKind = '*';
};

template <class... P>
constexpr char kSignature[] = {Plain<P>::kKind..., Code<typename Plain<P>::Type>::kLetter..., 0};

template <class... P>
inline const char *signature(void (*)(P...)) { return kSignature<P...>; }

template <class... P, size_t... I>
__attribute__((no_sanitize("thread"))) void call(void (*kernel)(P...), void **arguments,
                                                 std::index_sequence<I...>) {
    kernel(*static_cast<P *>(arguments[I])...);
}

template <class... P>
__attribute__((no_sanitize("thread"))) void call(void (*kernel)(P...), void **arguments) {
    call(kernel, arguments, std::index_sequence_for<P...>());
}

}  // namespace emulator

#define EMULATOR_EXPORT extern "C" __attribute__((visibility("default"), no_sanitize("thread")))
#define EMULATOR_ENTRY(kernel, threads, ...)                                                      \
    EMULATOR_EXPORT void kernel##_entry(void **arguments) { emulator::call(kernel, arguments); }  \
    EMULATOR_EXPORT const char *kernel##_signature() { return emulator::signature(kernel); }      \
    EMULATOR_EXPORT int kernel##_launch_bound() { return threads; }
