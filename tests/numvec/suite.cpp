// SPDX-License-Identifier: Apache-2.0
// Hexadecimal bit patterns to numbers, and the comparison.
#include "tests/numvec/suite.hpp"

#include <cstdio>

#include "core/hash.hpp"
#include "training/numerics/functions.hpp"

namespace trainyard::numvec {

using training::as_float;
using training::bits_of;

namespace {

uint32_t parse_hex(std::string_view digits) {
    uint32_t value = 0;
    for (const char c : digits)
        value = value << 4 | static_cast<uint32_t>(c <= '9' ? c - '0' : c - 'a' + 10);
    return value;
}

size_t digits_of(const std::string& dtype) {
    if (dtype == "u16") return 4;
    return dtype == "i8" ? 2 : 8;
}

}  // namespace

std::vector<uint32_t> words(const Json& tensor) {
    const size_t width = digits_of(tensor["dtype"].string);
    const std::string& hex = tensor["hex"].string;
    std::vector<uint32_t> out;
    for (size_t i = 0; i + width <= hex.size(); i += width)
        out.push_back(parse_hex(std::string_view(hex).substr(i, width)));
    return out;
}

Floats floats(const Json& tensor) {
    Floats out;
    for (const uint32_t bits : words(tensor)) out.push_back(as_float(bits));
    return out;
}

std::vector<uint32_t> integers(const Json& array) {
    std::vector<uint32_t> out;
    for (const Json& item : array.array) out.push_back(static_cast<uint32_t>(item.integer));
    return out;
}

uint32_t word(const Json& scalar) {
    return parse_hex(scalar.string);
}
uint32_t count(const Json& integer) {
    return static_cast<uint32_t>(integer.integer);
}
float real(const Json& scalar) {
    return as_float(word(scalar));
}

Suite::Suite() {
    backends_.push_back(training::make_reference_backend());
    for (const training::CpuPath path : training::kCpuPaths)
        if (training::cpu_has(path)) backends_.push_back(training::make_cpu_backend({path, 2}));
}

void Suite::check_true(const std::string& what, bool ok) {
    (ok ? passed_ : failed_) += 1;
    if (!ok) std::printf("FAILED %s\n", what.c_str());
}

void Suite::check_words(const std::string& what, const std::vector<uint32_t>& got,
                        const Json& expected) {
    const std::vector<uint32_t> due = words(expected);
    bool ok = !expected.is_null() && got.size() == due.size();
    for (size_t i = 0; ok && i < due.size(); ++i) {
        if (got[i] == due[i]) continue;
        ok = false;
        std::printf("%s: element %zu is %08x, not %08x\n", what.c_str(), i, got[i], due[i]);
    }
    check_true(what, ok);
}

void Suite::check(const std::string& what, const Floats& got, const Json& expected) {
    std::vector<uint32_t> bits;
    for (const float x : got) bits.push_back(bits_of(x));
    check_words(what, bits, expected);
}

void Suite::check_int8(const std::string& what, const std::vector<int8_t>& got,
                       const Json& expected) {
    std::vector<uint32_t> bits;
    for (const int8_t x : got) bits.push_back(static_cast<uint8_t>(x));
    check_words(what, bits, expected);
}

void Suite::check_scalar(const std::string& what, float got, const Json& expected) {
    check_true(what, !expected.is_null() && bits_of(got) == word(expected));
}

void Suite::check_sha256(const std::string& what, const std::vector<std::span<const float>>& got,
                         const Json& expected) {
    Sha256 hash;
    for (const auto part : got) {
        Bytes bytes;
        for (const float x : part) append_le(bytes, bits_of(x));
        hash.update(bytes);
    }
    check_true(what, to_hex(hash.finish().bytes) == expected.string);
}

}  // namespace trainyard::numvec
