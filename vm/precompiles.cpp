// SPDX-License-Identifier: Apache-2.0
// The table of precompiles (Yellow Paper appendix E and the EIPs named) and the short ones
// themselves.
#include "vm/precompiles.hpp"

#include <array>

#include "core/assert.hpp"
#include "core/hash.hpp"
#include "core/keys.hpp"
#include "vm/arithmetic.hpp"
#include "vm/machine.hpp"

namespace trainyard::vm {
namespace {

using precompile::Output;

int64_t ecrecover_gas(BytesView, const Rules&) {
    return 3000;
}
int64_t sha256_gas(BytesView input, const Rules&) {
    return 60 + 12 * words_of(input.size());
}
int64_t ripemd160_gas(BytesView input, const Rules&) {
    return 600 + 120 * words_of(input.size());
}
int64_t identity_gas(BytesView input, const Rules&) {
    return 15 + 3 * words_of(input.size());
}

/// hash 32 | v 32 (27 or 28) | r 32 | s 32 -> address, or nothing if there is no such signer.
Output run_ecrecover(BytesView input, const Rules&) {
    std::array<uint8_t, 128> padded{};
    std::copy_n(input.begin(), std::min<size_t>(input.size(), padded.size()), padded.begin());
    const Uint256 v = load_word(&padded[32]);
    if (v != Uint256(27) && v != Uint256(28)) return Bytes();
    Hash digest;
    RecoverableSig sig;
    std::copy_n(&padded[0], 32, digest.data());
    std::copy_n(&padded[64], 64, sig.rs.data());
    sig.y_parity = static_cast<uint8_t>(v.low() - 27);
    const auto signer = recover(digest, sig);
    if (!signer) return Bytes();
    Bytes out(12);
    append(out, signer->bytes);
    return out;
}

Output run_sha256(BytesView input, const Rules&) {
    const Hash h = sha256(input);
    return Bytes(h.begin(), h.end());
}

Output run_ripemd160(BytesView input, const Rules&) {
    Bytes out(12);
    append(out, ripemd160(input).bytes);
    return out;
}

Output run_identity(BytesView input, const Rules&) {
    return Bytes(input.begin(), input.end());
}

struct Precompile {
    uint16_t number;        ///< the address
    std::string_view name;  ///< EIP-7910
    Revision since;
    int64_t (*gas)(BytesView input, const Rules& rules);
    Output (*run)(BytesView input, const Rules& rules);
};

constexpr Precompile kPrecompiles[] = {
    {0x01, "ECREC", Revision::frontier, ecrecover_gas, run_ecrecover},
    {0x02, "SHA256", Revision::frontier, sha256_gas, run_sha256},
    {0x03, "RIPEMD160", Revision::frontier, ripemd160_gas, run_ripemd160},
    {0x04, "ID", Revision::frontier, identity_gas, run_identity},
    {0x05, "MODEXP", Revision::byzantium, precompile::modexp_gas, precompile::modexp},  // EIP-198
    {0x06, "BN254_ADD", Revision::byzantium, precompile::bn254_add_gas,
     precompile::bn254_add},  // EIP-196
    {0x07, "BN254_MUL", Revision::byzantium, precompile::bn254_mul_gas,
     precompile::bn254_mul},  // EIP-196
    {0x08, "BN254_PAIRING", Revision::byzantium, precompile::bn254_pairing_gas,
     precompile::bn254_pairing},                                                          // EIP-197
    {0x09, "BLAKE2F", Revision::istanbul, precompile::blake2f_gas, precompile::blake2f},  // EIP-152
    {0x0a, "KZG_POINT_EVALUATION", Revision::cancun, precompile::point_evaluation_gas,
     precompile::point_evaluation},  // EIP-4844
    // EIP-2537
    {0x0b, "BLS12_G1ADD", Revision::prague, precompile::bls_g1_add_gas, precompile::bls_g1_add},
    {0x0c, "BLS12_G1MSM", Revision::prague, precompile::bls_g1_msm_gas, precompile::bls_g1_msm},
    {0x0d, "BLS12_G2ADD", Revision::prague, precompile::bls_g2_add_gas, precompile::bls_g2_add},
    {0x0e, "BLS12_G2MSM", Revision::prague, precompile::bls_g2_msm_gas, precompile::bls_g2_msm},
    {0x0f, "BLS12_PAIRING_CHECK", Revision::prague, precompile::bls_pairing_gas,
     precompile::bls_pairing},
    {0x10, "BLS12_MAP_FP_TO_G1", Revision::prague, precompile::bls_map_fp_to_g1_gas,
     precompile::bls_map_fp_to_g1},
    {0x11, "BLS12_MAP_FP2_TO_G2", Revision::prague, precompile::bls_map_fp2_to_g2_gas,
     precompile::bls_map_fp2_to_g2},
    {0x100, "P256VERIFY", Revision::osaka, precompile::p256_verify_gas,
     precompile::p256_verify},  // EIP-7951
};

const Precompile* find(const Address& address, Revision revision) {
    for (size_t i = 0; i < 18; ++i)
        if (address[i] != 0) return nullptr;
    const unsigned number = address[18] << 8 | address[19];
    for (const auto& row : kPrecompiles)
        if (row.number == number && is_at_least(revision, row.since)) return &row;
    return nullptr;
}

std::array<std::vector<Address>, kRevisionCount> make_lists() {
    std::array<std::vector<Address>, kRevisionCount> lists;
    for (size_t r = 0; r < kRevisionCount; ++r) {
        for (const auto& row : kPrecompiles) {
            if (!is_at_least(static_cast<Revision>(r), row.since)) continue;
            Address address;
            address[18] = static_cast<uint8_t>(row.number >> 8);
            address[19] = static_cast<uint8_t>(row.number);
            lists[r].push_back(address);
        }
    }
    return lists;
}

}  // namespace

bool is_precompile(const Address& address, Revision revision) {
    return find(address, revision) != nullptr;
}

const std::vector<Address>& precompiles_of(Revision revision) {
    static const auto kLists = make_lists();
    return kLists[static_cast<size_t>(revision)];
}

std::string_view precompile_name(const Address& address, Revision revision) {
    const Precompile* row = find(address, revision);
    return row == nullptr ? std::string_view() : row->name;
}

CallResult run_precompile(const Address& address, Revision revision, BytesView input, int64_t gas) {
    const Precompile* row = find(address, revision);
    ASSERT(row != nullptr);
    const Rules& rules = rules_of(revision);
    CallResult result;
    const int64_t cost = row->gas(input, rules);
    if (cost > gas) {
        result.status = Status::out_of_gas;
        return result;
    }
    auto output = row->run(input, rules);
    if (!output) {
        result.status = Status::precompile_failure;
        return result;
    }
    result.gas_left = gas - cost;
    result.output = std::move(*output);
    return result;
}

}  // namespace trainyard::vm
