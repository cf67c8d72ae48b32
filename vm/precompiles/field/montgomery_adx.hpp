// SPDX-License-Identifier: Apache-2.0
// The arithmetic of montgomery.hpp for 4 and 6 limbs on x86-64 with BMI2 and ADX: the sums of a row
// run in two carry chains at once, and nothing branches on a carry. No compiler makes this from
// C++.
//
// Source: Intel, "New instructions supporting large integer arithmetic", 2012. The macros put the
// text together, which nothing else in the language can; they end with this file.
#pragma once

#include "vm/precompiles/field/montgomery.hpp"

// Registers are scarce: not without optimisation, and not where a sanitizer takes some.
#if defined(__x86_64__) && defined(__OPTIMIZE__) && !defined(__SANITIZE_ADDRESS__) && \
    !defined(__SANITIZE_THREAD__)
#if !defined(__has_feature)
#define TRAINYARD_ADX
#elif !__has_feature(address_sanitizer) && !__has_feature(thread_sanitizer)
#define TRAINYARD_ADX
#endif
#endif

#ifdef TRAINYARD_ADX
#include <cpuid.h>

namespace trainyard::vm::field::adx {

inline bool find_adx() {
    unsigned a = 0, b = 0, c = 0, d = 0;
    constexpr unsigned kBmi2 = 1u << 8, kAdx = 1u << 19;
    return __get_cpuid_count(7, 0, &a, &b, &c, &d) != 0 && (b & kBmi2) != 0 && (b & kAdx) != 0;
}
inline const bool kIsPresent = find_adx();

// clang-format off
#define R(name) "%[" #name "]"
#define DO(operation, from, to) operation " " from ", " to "\n\t"
#define ZERO(name) "xor %k[" #name "], %k[" #name "]\n\t"
#define LOAD(at, name) DO("mov", at "(%[a])", R(name))
#define STORE(name, at) DO("mov", R(name), at "(%[r])")

// low += the low half of d * from, high += the high half, each in its own chain.
#define STEP(from, low, high) \
    "mulx " from ", %[lo], %[hi]\n\t" DO("adcx", R(lo), R(low)) DO("adox", R(hi), R(high))
#define CARRY(top) "mov $0, %k[lo]\n\t" DO("adcx", R(lo), R(top))
// The first row has nothing to add to.
#define FIRST(from, low, high) "mulx " from ", %[lo], %[" #high "]\n\t" DO("adc", R(lo), R(low))

// t += a b_i, where the top of t starts as 0.
#define FIRST_ROW4 \
    DO("mov", "(%[b])", R(d)) "mulx (%[a]), %[t0], %[t1]\n\t" ZERO(lo) \
    FIRST("8(%[a])", t1, t2) FIRST("16(%[a])", t2, t3) FIRST("24(%[a])", t3, t4) \
    DO("adc", "$0", R(t4))
#define FIRST_ROW6 \
    DO("mov", "(%[b])", R(d)) "mulx (%[a]), %[t0], %[t1]\n\t" ZERO(lo) \
    FIRST("8(%[a])", t1, t2) FIRST("16(%[a])", t2, t3) FIRST("24(%[a])", t3, t4) \
    FIRST("32(%[a])", t4, t5) FIRST("40(%[a])", t5, t6) DO("adc", "$0", R(t6))
#define ROW4(at, t0, t1, t2, t3, t4) \
    DO("mov", at "(%[b])", R(d)) ZERO(t4) STEP("(%[a])", t0, t1) STEP("8(%[a])", t1, t2) \
    STEP("16(%[a])", t2, t3) STEP("24(%[a])", t3, t4) CARRY(t4)
#define ROW6(at, t0, t1, t2, t3, t4, t5, t6) \
    DO("mov", at "(%[b])", R(d)) ZERO(t6) STEP("(%[a])", t0, t1) STEP("8(%[a])", t1, t2) \
    STEP("16(%[a])", t2, t3) STEP("24(%[a])", t3, t4) STEP("32(%[a])", t4, t5) \
    STEP("40(%[a])", t5, t6) CARRY(t6)

// t += p m, where m makes t0 zero.
#define REDUCE4(t0, t1, t2, t3, t4) \
    DO("mov", R(t0), R(d)) DO("imul", R(k), R(d)) ZERO(lo) STEP(R(p0), t0, t1) \
    STEP(R(p1), t1, t2) STEP(R(p2), t2, t3) STEP(R(p3), t3, t4) CARRY(t4)
#define REDUCE6(t0, t1, t2, t3, t4, t5, t6) \
    DO("mov", R(t0), R(d)) DO("imul", R(k), R(d)) ZERO(lo) STEP(R(p0), t0, t1) \
    STEP(R(p1), t1, t2) STEP(R(p2), t2, t3) STEP(R(p3), t3, t4) STEP(R(p4), t4, t5) \
    STEP(R(p5), t5, t6) CARRY(t6)

// t -= p unless t < p; s is scratch.
#define ONCE4(t0, t1, t2, t3, s0, s1, s2, s3) \
    DO("mov", R(t0), R(s0)) DO("mov", R(t1), R(s1)) DO("mov", R(t2), R(s2)) \
    DO("mov", R(t3), R(s3)) DO("sub", R(p0), R(s0)) DO("sbb", R(p1), R(s1)) \
    DO("sbb", R(p2), R(s2)) DO("sbb", R(p3), R(s3)) DO("cmovnc", R(s0), R(t0)) \
    DO("cmovnc", R(s1), R(t1)) DO("cmovnc", R(s2), R(t2)) DO("cmovnc", R(s3), R(t3))
#define ONCE6(t0, t1, t2, t3, t4, t5, s0, s1, s2, s3, s4, s5) \
    DO("mov", R(t0), R(s0)) DO("mov", R(t1), R(s1)) DO("mov", R(t2), R(s2)) \
    DO("mov", R(t3), R(s3)) DO("mov", R(t4), R(s4)) DO("mov", R(t5), R(s5)) \
    DO("sub", R(p0), R(s0)) DO("sbb", R(p1), R(s1)) DO("sbb", R(p2), R(s2)) \
    DO("sbb", R(p3), R(s3)) DO("sbb", R(p4), R(s4)) DO("sbb", R(p5), R(s5)) \
    DO("cmovnc", R(s0), R(t0)) DO("cmovnc", R(s1), R(t1)) DO("cmovnc", R(s2), R(t2)) \
    DO("cmovnc", R(s3), R(t3)) DO("cmovnc", R(s4), R(t4)) DO("cmovnc", R(s5), R(t5))

// t += p if the last subtraction had a borrow; s is scratch.
#define REPAY4(s0, s1, s2, s3) \
    DO("sbb", R(s0), R(s0)) DO("mov", R(s0), R(s1)) DO("mov", R(s0), R(s2)) \
    DO("mov", R(s0), R(s3)) DO("and", R(p0), R(s0)) DO("and", R(p1), R(s1)) \
    DO("and", R(p2), R(s2)) DO("and", R(p3), R(s3)) DO("add", R(s0), R(t0)) \
    DO("adc", R(s1), R(t1)) DO("adc", R(s2), R(t2)) DO("adc", R(s3), R(t3))
#define REPAY6(s0, s1, s2, s3, s4, s5) \
    DO("sbb", R(s0), R(s0)) DO("mov", R(s0), R(s1)) DO("mov", R(s0), R(s2)) \
    DO("mov", R(s0), R(s3)) DO("mov", R(s0), R(s4)) DO("mov", R(s0), R(s5)) \
    DO("and", R(p0), R(s0)) DO("and", R(p1), R(s1)) DO("and", R(p2), R(s2)) \
    DO("and", R(p3), R(s3)) DO("and", R(p4), R(s4)) DO("and", R(p5), R(s5)) \
    DO("add", R(s0), R(t0)) DO("adc", R(s1), R(t1)) DO("adc", R(s2), R(t2)) \
    DO("adc", R(s3), R(t3)) DO("adc", R(s4), R(t4)) DO("adc", R(s5), R(t5))

// r = a - b in one limb of the low half; t0 is scratch.
#define LOW(operation, at) \
    LOAD(at, t0) DO(operation, at "(%[b])", R(t0)) STORE(t0, at)

#define OUT4 [t0] "=&r"(t0), [t1] "=&r"(t1), [t2] "=&r"(t2), [t3] "=&r"(t3)
#define OUT6 OUT4, [t4] "=&r"(t4), [t5] "=&r"(t5)
#define MULX [lo] "=&r"(lo), [hi] "=&r"(hi), [d] "=&d"(d)
#define P4 \
    [p0] "m"(m.p[0]), [p1] "m"(m.p[1]), [p2] "m"(m.p[2]), [p3] "m"(m.p[3]), \
    [k] "m"(m.minus_inverse)
#define P6 P4, [p4] "m"(m.p[4]), [p5] "m"(m.p[5])
// clang-format on

[[gnu::always_inline]] inline Limbs<4> add(const Limbs<4>& a, const Limbs<4>& b,
                                           const Modulus<4>& m) {
    const uint64_t *pa = a.data(), *pb = b.data();
    uint64_t t0, t1, t2, t3, s0, s1;
    asm(LOAD("", t0) LOAD("8", t1) LOAD("16", t2) LOAD("24", t3) DO("add", "(%[b])", R(t0)) DO(
            "adc", "8(%[b])", R(t1)) DO("adc", "16(%[b])", R(t2)) DO("adc", "24(%[b])", R(t3))  //
        ONCE4(t0, t1, t2, t3, s0, s1, a, b)
        : OUT4, [s0] "=&r"(s0), [s1] "=&r"(s1), [a] "+&r"(pa), [b] "+&r"(pb)
        : P4, "m"(a), "m"(b)
        : "cc");
    return {t0, t1, t2, t3};
}

[[gnu::always_inline]] inline Limbs<4> subtract(const Limbs<4>& a, const Limbs<4>& b,
                                                const Modulus<4>& m) {
    const uint64_t *pa = a.data(), *pb = b.data();
    uint64_t t0, t1, t2, t3, s0, s1;
    asm(LOAD("", t0) LOAD("8", t1) LOAD("16", t2) LOAD("24", t3) DO("sub", "(%[b])", R(t0)) DO(
            "sbb", "8(%[b])", R(t1)) DO("sbb", "16(%[b])", R(t2)) DO("sbb", "24(%[b])", R(t3))  //
        REPAY4(s0, s1, a, b)
        : OUT4, [s0] "=&r"(s0), [s1] "=&r"(s1), [a] "+&r"(pa), [b] "+&r"(pb)
        : P4, "m"(a), "m"(b)
        : "cc");
    return {t0, t1, t2, t3};
}

[[gnu::always_inline]] inline Limbs<4> multiply(const Limbs<4>& a, const Limbs<4>& b,
                                                const Modulus<4>& m) {
    const uint64_t *pa = a.data(), *pb = b.data();
    uint64_t t0, t1, t2, t3, t4, lo, hi, d;
    asm(FIRST_ROW4 REDUCE4(t0, t1, t2, t3, t4)                      //
        ROW4("8", t1, t2, t3, t4, t0) REDUCE4(t1, t2, t3, t4, t0)   //
        ROW4("16", t2, t3, t4, t0, t1) REDUCE4(t2, t3, t4, t0, t1)  //
        ROW4("24", t3, t4, t0, t1, t2) REDUCE4(t3, t4, t0, t1, t2)  //
        ONCE4(t4, t0, t1, t2, t3, lo, hi, a)
        : OUT4, [t4] "=&r"(t4), MULX, [a] "+&r"(pa), [b] "+&r"(pb)
        : P4, "m"(a), "m"(b)
        : "cc");
    return {t4, t0, t1, t2};
}

[[gnu::always_inline]] inline Limbs<8> product(const Limbs<4>& a, const Limbs<4>& b) {
    Limbs<8> r;
    uint64_t t0, t1, t2, t3, t4, lo, hi, d;
    asm(FIRST_ROW4 STORE(t0, "")                        //
        ROW4("8", t1, t2, t3, t4, t0) STORE(t1, "8")    //
        ROW4("16", t2, t3, t4, t0, t1) STORE(t2, "16")  //
        ROW4("24", t3, t4, t0, t1, t2) STORE(t3, "24")  //
        STORE(t4, "32") STORE(t0, "40") STORE(t1, "48") STORE(t2, "56")
        : OUT4, [t4] "=&r"(t4), MULX, "=m"(r)
        : [a] "r"(a.data()), [b] "r"(b.data()), [r] "r"(r.data()), "m"(a), "m"(b)
        : "cc");
    return r;
}

/// Montgomery's reduction of the low half; then the high half is added.
[[gnu::always_inline]] inline Limbs<4> reduce(const Limbs<8>& a, const Modulus<4>& m) {
    const uint64_t* pa = a.data();
    uint64_t t0, t1, t2, t3, t4, lo, hi, d;
    asm(LOAD("", t0) LOAD("8", t1) LOAD("16", t2) LOAD("24", t3)  //
        ZERO(t4) REDUCE4(t0, t1, t2, t3, t4)                      //
        ZERO(t0) REDUCE4(t1, t2, t3, t4, t0)                      //
        ZERO(t1) REDUCE4(t2, t3, t4, t0, t1)                      //
        ZERO(t2) REDUCE4(t3, t4, t0, t1, t2)                      //
        DO("add", "32(%[a])", R(t4)) DO("adc", "40(%[a])", R(t0)) DO("adc", "48(%[a])", R(t1))
            DO("adc", "56(%[a])", R(t2))  //
        ONCE4(t4, t0, t1, t2, t3, lo, hi, a)
        : OUT4, [t4] "=&r"(t4), MULX, [a] "+&r"(pa)
        : P4, "m"(a)
        : "cc");
    return {t4, t0, t1, t2};
}

[[gnu::always_inline]] inline Limbs<8> subtract_wide(const Limbs<8>& a, const Limbs<8>& b,
                                                     const Modulus<4>& m) {
    Limbs<8> r;
    const uint64_t *pa = a.data(), *pb = b.data();
    uint64_t t0, t1, t2, t3, s0, s1;
    asm(LOW("sub", "") LOW("sbb", "8") LOW("sbb", "16") LOW("sbb", "24")  //
        LOAD("32", t0) LOAD("40", t1) LOAD("48", t2) LOAD("56", t3) DO("sbb", "32(%[b])", R(t0)) DO(
            "sbb", "40(%[b])", R(t1)) DO("sbb", "48(%[b])", R(t2)) DO("sbb", "56(%[b])", R(t3))  //
        REPAY4(s0, s1, a, b)                                                                     //
        STORE(t0, "32") STORE(t1, "40") STORE(t2, "48") STORE(t3, "56")
        : OUT4, [s0] "=&r"(s0), [s1] "=&r"(s1), [a] "+&r"(pa), [b] "+&r"(pb), "=m"(r)
        : [r] "r"(r.data()), P4, "m"(a), "m"(b)
        : "cc");
    return r;
}

[[gnu::always_inline]] inline Limbs<6> add(const Limbs<6>& a, const Limbs<6>& b,
                                           const Modulus<6>& m) {
    const uint64_t *pa = a.data(), *pb = b.data();
    uint64_t t0, t1, t2, t3, t4, t5, s0, s1, s2, s3;
    asm(LOAD("", t0) LOAD("8", t1) LOAD("16", t2) LOAD("24", t3) LOAD("32", t4) LOAD("40", t5)
            DO("add", "(%[b])", R(t0)) DO("adc", "8(%[b])", R(t1)) DO("adc", "16(%[b])", R(t2))
                DO("adc", "24(%[b])", R(t3)) DO("adc", "32(%[b])", R(t4))
                    DO("adc", "40(%[b])", R(t5))  //
        ONCE6(t0, t1, t2, t3, t4, t5, s0, s1, s2, s3, a, b)
        : OUT6, [s0] "=&r"(s0), [s1] "=&r"(s1), [s2] "=&r"(s2), [s3] "=&r"(s3), [a] "+&r"(pa),
          [b] "+&r"(pb)
        : P6, "m"(a), "m"(b)
        : "cc");
    return {t0, t1, t2, t3, t4, t5};
}

[[gnu::always_inline]] inline Limbs<6> subtract(const Limbs<6>& a, const Limbs<6>& b,
                                                const Modulus<6>& m) {
    const uint64_t *pa = a.data(), *pb = b.data();
    uint64_t t0, t1, t2, t3, t4, t5, s0, s1, s2, s3;
    asm(LOAD("", t0) LOAD("8", t1) LOAD("16", t2) LOAD("24", t3) LOAD("32", t4) LOAD("40", t5)
            DO("sub", "(%[b])", R(t0)) DO("sbb", "8(%[b])", R(t1)) DO("sbb", "16(%[b])", R(t2))
                DO("sbb", "24(%[b])", R(t3)) DO("sbb", "32(%[b])", R(t4))
                    DO("sbb", "40(%[b])", R(t5))  //
        REPAY6(s0, s1, s2, s3, a, b)
        : OUT6, [s0] "=&r"(s0), [s1] "=&r"(s1), [s2] "=&r"(s2), [s3] "=&r"(s3), [a] "+&r"(pa),
          [b] "+&r"(pb)
        : P6, "m"(a), "m"(b)
        : "cc");
    return {t0, t1, t2, t3, t4, t5};
}

[[gnu::always_inline]] inline Limbs<6> multiply(const Limbs<6>& a, const Limbs<6>& b,
                                                const Modulus<6>& m) {
    const uint64_t *pa = a.data(), *pb = b.data();
    uint64_t t0, t1, t2, t3, t4, t5, t6, lo, hi, d;
    asm(FIRST_ROW6 REDUCE6(t0, t1, t2, t3, t4, t5, t6)                              //
        ROW6("8", t1, t2, t3, t4, t5, t6, t0) REDUCE6(t1, t2, t3, t4, t5, t6, t0)   //
        ROW6("16", t2, t3, t4, t5, t6, t0, t1) REDUCE6(t2, t3, t4, t5, t6, t0, t1)  //
        ROW6("24", t3, t4, t5, t6, t0, t1, t2) REDUCE6(t3, t4, t5, t6, t0, t1, t2)  //
        ROW6("32", t4, t5, t6, t0, t1, t2, t3) REDUCE6(t4, t5, t6, t0, t1, t2, t3)  //
        ROW6("40", t5, t6, t0, t1, t2, t3, t4) REDUCE6(t5, t6, t0, t1, t2, t3, t4)  //
        ONCE6(t6, t0, t1, t2, t3, t4, t5, lo, hi, a, b, d)
        : OUT6, [t6] "=&r"(t6), MULX, [a] "+&r"(pa), [b] "+&r"(pb)
        : P6, "m"(a), "m"(b)
        : "cc");
    return {t6, t0, t1, t2, t3, t4};
}

[[gnu::always_inline]] inline Limbs<12> product(const Limbs<6>& a, const Limbs<6>& b) {
    Limbs<12> r;
    uint64_t t0, t1, t2, t3, t4, t5, t6, lo, hi, d;
    asm(FIRST_ROW6 STORE(t0, "")                                //
        ROW6("8", t1, t2, t3, t4, t5, t6, t0) STORE(t1, "8")    //
        ROW6("16", t2, t3, t4, t5, t6, t0, t1) STORE(t2, "16")  //
        ROW6("24", t3, t4, t5, t6, t0, t1, t2) STORE(t3, "24")  //
        ROW6("32", t4, t5, t6, t0, t1, t2, t3) STORE(t4, "32")  //
        ROW6("40", t5, t6, t0, t1, t2, t3, t4) STORE(t5, "40")  //
        STORE(t6, "48") STORE(t0, "56") STORE(t1, "64") STORE(t2, "72") STORE(t3, "80")
            STORE(t4, "88")
        : OUT6, [t6] "=&r"(t6), MULX, "=m"(r)
        : [a] "r"(a.data()), [b] "r"(b.data()), [r] "r"(r.data()), "m"(a), "m"(b)
        : "cc");
    return r;
}

/// Montgomery's reduction of the low half; then the high half is added.
[[gnu::always_inline]] inline Limbs<6> reduce(const Limbs<12>& a, const Modulus<6>& m) {
    const uint64_t* pa = a.data();
    uint64_t t0, t1, t2, t3, t4, t5, t6, lo, hi, d, s;
    asm(LOAD("", t0) LOAD("8", t1) LOAD("16", t2) LOAD("24", t3) LOAD("32", t4) LOAD("40", t5)  //
        ZERO(t6) REDUCE6(t0, t1, t2, t3, t4, t5, t6)                                            //
        ZERO(t0) REDUCE6(t1, t2, t3, t4, t5, t6, t0)                                            //
        ZERO(t1) REDUCE6(t2, t3, t4, t5, t6, t0, t1)                                            //
        ZERO(t2) REDUCE6(t3, t4, t5, t6, t0, t1, t2)                                            //
        ZERO(t3) REDUCE6(t4, t5, t6, t0, t1, t2, t3)                                            //
        ZERO(t4) REDUCE6(t5, t6, t0, t1, t2, t3, t4)                                            //
        DO("add", "48(%[a])", R(t6)) DO("adc", "56(%[a])", R(t0)) DO("adc", "64(%[a])", R(t1)) DO(
            "adc", "72(%[a])", R(t2)) DO("adc", "80(%[a])", R(t3)) DO("adc", "88(%[a])", R(t4))  //
        ONCE6(t6, t0, t1, t2, t3, t4, t5, lo, hi, a, d, s)
        : OUT6, [t6] "=&r"(t6), MULX, [s] "=&r"(s), [a] "+&r"(pa)
        : P6, "m"(a)
        : "cc");
    return {t6, t0, t1, t2, t3, t4};
}

[[gnu::always_inline]] inline Limbs<12> subtract_wide(const Limbs<12>& a, const Limbs<12>& b,
                                                      const Modulus<6>& m) {
    Limbs<12> r;
    const uint64_t *pa = a.data(), *pb = b.data();
    uint64_t t0, t1, t2, t3, t4, t5, s0, s1, s2, s3;
    asm(LOW("sub", "") LOW("sbb", "8") LOW("sbb", "16") LOW("sbb", "24") LOW("sbb", "32")
            LOW("sbb", "40")  //
        LOAD("48", t0) LOAD("56", t1) LOAD("64", t2) LOAD("72", t3) LOAD("80", t4) LOAD("88", t5)
            DO("sbb", "48(%[b])", R(t0)) DO("sbb", "56(%[b])", R(t1)) DO("sbb", "64(%[b])", R(t2))
                DO("sbb", "72(%[b])", R(t3)) DO("sbb", "80(%[b])", R(t4))
                    DO("sbb", "88(%[b])", R(t5))  //
        REPAY6(s0, s1, s2, s3, a, b)              //
        STORE(t0, "48") STORE(t1, "56") STORE(t2, "64") STORE(t3, "72") STORE(t4, "80")
            STORE(t5, "88")
        : OUT6, [s0] "=&r"(s0), [s1] "=&r"(s1), [s2] "=&r"(s2), [s3] "=&r"(s3), [a] "+&r"(pa),
          [b] "+&r"(pb), "=m"(r)
        : [r] "r"(r.data()), P6, "m"(a), "m"(b)
        : "cc");
    return r;
}

#undef R
#undef DO
#undef ZERO
#undef LOAD
#undef STORE
#undef STEP
#undef CARRY
#undef FIRST
#undef FIRST_ROW4
#undef FIRST_ROW6
#undef ROW4
#undef ROW6
#undef REDUCE4
#undef REDUCE6
#undef ONCE4
#undef ONCE6
#undef REPAY4
#undef REPAY6
#undef LOW
#undef OUT4
#undef OUT6
#undef MULX
#undef P4
#undef P6

}  // namespace trainyard::vm::field::adx
#endif
