// SPDX-License-Identifier: Apache-2.0
// Votes, keys and chains for the tests of node/signer.
#pragma once

#include "node/signer/signing_db.hpp"

namespace trainyard::node::signer {

using consensus::bft::ChainIdentity;
using consensus::bft::Vote;
using consensus::bft::VoteKind;

inline Hash block_hash(uint64_t n) {
    Hash hash;
    if (n != 0) hash[0] = 0xb1;
    hash[31] = static_cast<uint8_t>(n);
    return hash;
}

/// Block 0 is none, as a NULLIFY needs it.
inline Vote vote(VoteKind kind, uint64_t view, uint64_t block = 0, uint64_t epoch = 0) {
    return {kind, {epoch}, {view}, block_hash(block), 0, {}};
}

inline SecretKey secret(uint8_t n) {
    SecretKey key;
    key[31] = n;
    return key;
}

inline ChainIdentity test_chain() {
    return {7, block_hash(99)};
}
inline Owner test_owner() {
    return {test_chain(), *public_key(secret(1))};
}

}  // namespace trainyard::node::signer
