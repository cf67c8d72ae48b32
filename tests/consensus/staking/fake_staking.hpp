// SPDX-License-Identifier: Apache-2.0
// A contract in the place of Staking that gives one set, whatever it is asked.
#pragma once

#include <vector>

#include "../transition/test_world.hpp"
#include "consensus/staking/validator_set.hpp"

namespace trainyard::consensus {

inline Validator member(uint8_t number) {
    Validator v;
    v.address[19] = number;
    v.consensus_key = *public_key(key_number(static_cast<uint8_t>(3 * number)));
    v.vrf_key = *public_key(key_number(static_cast<uint8_t>(3 * number + 1)));
    v.p2p_key = *public_key(key_number(static_cast<uint8_t>(3 * number + 2)));
    v.stake_gwei = 1000u * number;
    return v;
}

inline void append_word(Bytes& to, const Uint256& value) {
    append(to, to_hash(value).bytes);
}

/// As Solidity encodes Seat[].
inline Bytes encode(const std::vector<Validator>& members) {
    Bytes out;
    append_word(out, 32);
    append_word(out, Uint256(members.size()));
    for (size_t i = 0; i < members.size(); ++i)
        append_word(out, Uint256(32 * (members.size() + 14 * i)));
    for (const auto& v : members) {
        append_word(out, from_be(v.address.bytes));
        for (unsigned k = 0; k < 3; ++k) append_word(out, Uint256(32u * (5 + 3 * k)));
        append_word(out, Uint256(v.stake_gwei));
        for (const auto* key : {&v.consensus_key, &v.vrf_key, &v.p2p_key}) {
            append_word(out, 33);
            append(out, key->bytes);
            out.resize(out.size() + 31);
        }
    }
    return out;
}

inline Bytes code_that_answers(const Bytes& answer) {
    Bytes code = {0x61,
                  static_cast<uint8_t>(answer.size() >> 8),
                  static_cast<uint8_t>(answer.size()),
                  0x60,
                  13,
                  0x60,
                  0,
                  0x39,  // CODECOPY
                  0x61,
                  static_cast<uint8_t>(answer.size() >> 8),
                  static_cast<uint8_t>(answer.size()),
                  0x5f,
                  0xf3};
    append(code, answer);
    return code;
}

}  // namespace trainyard::consensus
