// Every header of feaug includes this file first and header_end.hpp last. Between them
//   * macros of other headers whose names feaug, Eigen or the standard library use are undefined, so
//     that feaug can be included after them; header_end.hpp restores them;
//   * floating-point arithmetic follows IEEE 754, whatever the user's flags are (-Ofast,
//     -ffast-math and their parts; clang++: on x86 only). Otherwise searches would find wrong
//     neighbours, and NaN would go unnoticed.
// Headers nest; the outermost one does the work. (No #pragma once: this file is included many times.)

#if !defined(FEAUG_DETAIL_IN_HEADER)

// g++ needs the pragma only if the flags ask for other arithmetic: it puts an attribute on every
// function, which then is not inlined into functions without it.
#if defined(__clang__) && (defined(__x86_64__) || defined(__i386__))
#pragma float_control(push)
#pragma float_control(precise, on)
#elif defined(__GNUC__) && !defined(__clang__) &&                                               \
    (defined(__FAST_MATH__) || defined(__ASSOCIATIVE_MATH__) || defined(__RECIPROCAL_MATH__) || \
     defined(__NO_SIGNED_ZEROS__) || __FINITE_MATH_ONLY__)
#define FEAUG_DETAIL_OPTIONS_PUSHED
#pragma GCC push_options
#pragma GCC optimize("no-fast-math", "no-unsafe-math-optimizations", "no-associative-math", \
                     "no-reciprocal-math", "no-finite-math-only", "signed-zeros", "trapping-math")
#endif

// C library and compilers in their GNU dialect.
#pragma push_macro("I")
#undef I
#pragma push_macro("B0")
#undef B0
#pragma push_macro("B1")
#undef B1
#pragma push_macro("ECHO")
#undef ECHO
#pragma push_macro("DOMAIN")
#undef DOMAIN
#pragma push_macro("OVERFLOW")
#undef OVERFLOW
#pragma push_macro("major")
#undef major
#pragma push_macro("minor")
#undef minor
#pragma push_macro("linux")
#undef linux
#pragma push_macro("unix")
#undef unix

// Qt.
#pragma push_macro("slots")
#undef slots
#pragma push_macro("signals")
#undef signals
#pragma push_macro("emit")
#undef emit
#pragma push_macro("foreach")
#undef foreach
#pragma push_macro("forever")
#undef forever

// Windows.
#pragma push_macro("min")
#undef min
#pragma push_macro("max")
#undef max
#pragma push_macro("small")
#undef small
#pragma push_macro("near")
#undef near
#pragma push_macro("far")
#undef far
#pragma push_macro("huge")
#undef huge
#pragma push_macro("hyper")
#undef hyper
#pragma push_macro("interface")
#undef interface
#pragma push_macro("pascal")
#undef pascal
#pragma push_macro("cdecl")
#undef cdecl
#pragma push_macro("rad1")
#undef rad1
#pragma push_macro("rad2")
#undef rad2
#pragma push_macro("IN")
#undef IN
#pragma push_macro("OUT")
#undef OUT
#pragma push_macro("OPTIONAL")
#undef OPTIONAL
#pragma push_macro("VOID")
#undef VOID
#pragma push_macro("ERROR")
#undef ERROR
#pragma push_macro("DELETE")
#undef DELETE
#pragma push_macro("DIFFERENCE")
#undef DIFFERENCE
#pragma push_macro("TRUE")
#undef TRUE
#pragma push_macro("FALSE")
#undef FALSE

// X11.
#pragma push_macro("None")
#undef None
#pragma push_macro("True")
#undef True
#pragma push_macro("False")
#undef False
#pragma push_macro("Bool")
#undef Bool
#pragma push_macro("Status")
#undef Status
#pragma push_macro("Success")
#undef Success
#pragma push_macro("Always")
#undef Always
#pragma push_macro("Above")
#undef Above
#pragma push_macro("Below")
#undef Below

// Test frameworks, loggers, <AssertMacros.h>, numerical programs.
#pragma push_macro("CHECK")
#undef CHECK
#pragma push_macro("REQUIRE")
#undef REQUIRE
#pragma push_macro("ASSERT")
#undef ASSERT
#pragma push_macro("THROW")
#undef THROW
#pragma push_macro("LOG")
#undef LOG
#pragma push_macro("check")
#undef check
#pragma push_macro("verify")
#undef verify
#pragma push_macro("require")
#undef require
#pragma push_macro("DEBUG")
#undef DEBUG
#pragma push_macro("EPS")
#undef EPS
#pragma push_macro("PI")
#undef PI
#pragma push_macro("WARP_SIZE")
#undef WARP_SIZE

// Single letters, which templates use for types.
#pragma push_macro("A")
#undef A
#pragma push_macro("B")
#undef B
#pragma push_macro("C")
#undef C
#pragma push_macro("D")
#undef D
#pragma push_macro("E")
#undef E
#pragma push_macro("F")
#undef F
#pragma push_macro("G")
#undef G
#pragma push_macro("H")
#undef H
#pragma push_macro("K")
#undef K
#pragma push_macro("L")
#undef L
#pragma push_macro("M")
#undef M
#pragma push_macro("N")
#undef N
#pragma push_macro("O")
#undef O
#pragma push_macro("P")
#undef P
#pragma push_macro("Q")
#undef Q
#pragma push_macro("R")
#undef R
#pragma push_macro("S")
#undef S
#pragma push_macro("T")
#undef T
#pragma push_macro("U")
#undef U
#pragma push_macro("V")
#undef V
#pragma push_macro("W")
#undef W
#pragma push_macro("X")
#undef X
#pragma push_macro("Y")
#undef Y
#pragma push_macro("Z")
#undef Z

#endif

#pragma push_macro("FEAUG_DETAIL_IN_HEADER")
#undef FEAUG_DETAIL_IN_HEADER
#define FEAUG_DETAIL_IN_HEADER
