// SPDX-License-Identifier: Apache-2.0
// Signatures that cost a few nanoseconds, for ten thousand runs; nobody in a simulation forges
// them.
#pragma once

#include <memory>
#include <vector>

#include "consensus/bft/bft.hpp"

namespace trainyard::sim {

/// Whatever signs and checks in one run: fake or real, by choice.
struct Keyring {
    std::vector<consensus::Validator> validators;  ///< sorted by address, each of one owner
    std::vector<std::unique_ptr<consensus::bft::Signer>> signers;  ///< by owner
    std::unique_ptr<consensus::bft::Checks> checks;
};

enum class Keys : uint8_t {
    fake,
    real,       ///< secp256k1 and the VRF of core/keys.hpp
    unchecked,  ///< fake, and every signature is taken for good
};

/// `stakes_gwei` gives one validator each.
[[nodiscard]] Keyring make_keyring(const std::vector<uint64_t>& stakes_gwei, Keys kind);

/// The position of a validator in its keyring, whichever set it was found in.
[[nodiscard]] unsigned owner_of(const consensus::Validator& validator);

/// The transactions root that the simulated chain gives a body.
[[nodiscard]] Hash body_root(BytesView body);
/// The state after a body: all that the simulated chain executes.
[[nodiscard]] Hash state_after(const Hash& parent_state, BytesView body);

}  // namespace trainyard::sim
