// SPDX-License-Identifier: Apache-2.0
// Precompile 0x05: base^exponent mod modulus (EIP-198), its three price lists (EIP-2565, EIP-7883)
// and bound (EIP-7823).
#include <gmp.h>

#include <algorithm>
#include <array>

#include "vm/arithmetic.hpp"
#include "vm/precompiles.hpp"

namespace trainyard::vm::precompile {
namespace {

using u128 = unsigned __int128;

/// Lengths in bytes; each at most kLengthMax + 1, which stands for anything longer.
struct Lengths {
    uint64_t base, exponent, modulus;
};
constexpr uint64_t kLengthMax = uint64_t{1} << 31;
constexpr uint64_t kBoundedLengthMax = 1024;  // EIP-7823

/// input[from, from + 32), zeros where the input has ended.
Uint256 word_at(BytesView input, uint64_t from) {
    uint8_t word[32] = {};
    if (from < input.size())
        std::copy_n(input.begin() + static_cast<ptrdiff_t>(from),
                    std::min<uint64_t>(32, input.size() - from), word);
    return load_word(word);
}

uint64_t length_at(BytesView input, uint64_t from) {
    const Uint256 length = word_at(input, from);
    return length > Uint256(kLengthMax) ? kLengthMax + 1 : length.low();
}

Lengths read_lengths(BytesView input) {
    return {length_at(input, 0), length_at(input, 32), length_at(input, 64)};
}

u128 complexity(uint64_t length, ModexpPrices prices) {
    const u128 x = length;
    const u128 words = (x + 7) / 8;
    switch (prices) {
        case ModexpPrices::eip198:
            if (x <= 64) return x * x;
            if (x <= 1024) return x * x / 4 + 96 * x - 3072;
            return x * x / 16 + 480 * x - 199680;
        case ModexpPrices::eip2565:
            return words * words;
        case ModexpPrices::eip7883:
            return x <= 32 ? 16 : 2 * words * words;
    }
    return 0;
}

/// How many squarings the exponent makes, from its length and first 32 bytes.
u128 iterations(BytesView input, const Lengths& lengths, ModexpPrices prices) {
    Uint256 head = word_at(input, 96 + lengths.base);
    if (lengths.exponent < 32) head = head >> static_cast<unsigned>(8 * (32 - lengths.exponent));
    const u128 head_bits = head.is_zero() ? 0 : static_cast<u128>(head.bit_length() - 1);
    const u128 byte_price = prices == ModexpPrices::eip7883 ? 16 : 8;
    const u128 tail = lengths.exponent > 32 ? byte_price * (lengths.exponent - 32) : 0;
    return std::max<u128>(1, tail + head_bits);
}

void import_number(mpz_t number, BytesView input, uint64_t from, uint64_t length) {
    Bytes bytes(length);
    if (from < input.size())
        std::copy_n(input.begin() + static_cast<ptrdiff_t>(from),
                    std::min<uint64_t>(length, input.size() - from), bytes.begin());
    mpz_import(number, bytes.size(), 1, 1, 1, 0, bytes.data());
}

}  // namespace

int64_t modexp_gas(BytesView input, const Rules& rules) {
    const Lengths lengths = read_lengths(input);
    const ModexpPrices prices = rules.modexp_prices;
    const uint64_t longest = std::max(lengths.base, lengths.modulus);
    // An empty base and modulus make the result empty, whatever the exponent's length claims.
    if (longest == 0 && prices == ModexpPrices::eip198) return 0;
    if (longest == 0 && prices == ModexpPrices::eip2565) return 200;
    if (longest > kLengthMax || lengths.exponent > kLengthMax) return kUnpayable;
    u128 gas = complexity(longest, prices) * iterations(input, lengths, prices);
    if (prices == ModexpPrices::eip198) gas /= 20;
    if (prices == ModexpPrices::eip2565) gas = std::max<u128>(200, gas / 3);
    if (prices == ModexpPrices::eip7883) gas = std::max<u128>(500, gas);
    return gas > static_cast<u128>(kUnpayable) ? kUnpayable : static_cast<int64_t>(gas);
}

Output modexp(BytesView input, const Rules& rules) {
    const Lengths lengths = read_lengths(input);
    if (rules.modexp_is_bounded &&
        std::max({lengths.base, lengths.exponent, lengths.modulus}) > kBoundedLengthMax)
        return std::nullopt;
    Bytes out(lengths.modulus);
    if (lengths.modulus == 0) return out;
    mpz_t base, exponent, modulus;
    mpz_inits(base, exponent, modulus, nullptr);
    import_number(modulus, input, 96 + lengths.base + lengths.exponent, lengths.modulus);
    if (mpz_sgn(modulus) != 0) {
        import_number(base, input, 96, lengths.base);
        import_number(exponent, input, 96 + lengths.base, lengths.exponent);
        mpz_powm(base, base, exponent, modulus);
        const size_t size = (mpz_sizeinbase(base, 2) + 7) / 8;
        if (mpz_sgn(base) != 0)
            mpz_export(out.data() + (out.size() - size), nullptr, 1, 1, 1, 0, base);
    }
    mpz_clears(base, exponent, modulus, nullptr);
    return out;
}

}  // namespace trainyard::vm::precompile
