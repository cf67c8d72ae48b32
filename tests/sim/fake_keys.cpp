// SPDX-License-Identifier: Apache-2.0
// Fake and real keys behind the machine's seams, and the rules of the simulated chain.
#include "tests/sim/fake_keys.hpp"

#include <algorithm>

#include "core/hash.hpp"
#include "tests/sim/random.hpp"

namespace trainyard::sim {
namespace cb = consensus::bft;
namespace {

uint64_t word(const uint8_t* at) {
    return load_le<uint64_t>(at);
}

/// Depends on every bit of key and digest, and on nothing secret.
CompactSig fake_signature(const PublicKey& key, const Hash& digest) {
    uint64_t state = mix(word(key.data() + 1)) ^ mix(word(key.data() + 9) + 1);
    for (size_t i = 0; i < 32; i += 8) state = mix(state ^ word(digest.data() + i));
    CompactSig out;
    for (size_t i = 0; i < 64; i += 8) {
        state = mix(state + i);
        for (size_t j = 0; j < 8; ++j) out[i + j] = static_cast<uint8_t>(state >> (8 * j));
    }
    return out;
}

cb::Signer::VrfOutput fake_vrf(const PublicKey& key, BytesView alpha) {
    Bytes bytes(key.begin(), key.end());
    append(bytes, alpha);
    cb::Signer::VrfOutput out;
    out.beta = keccak256(bytes);
    std::copy(out.beta.begin(), out.beta.end(), out.proof.bytes.begin());
    return out;
}

class FakeSigner final : public cb::Signer {
public:
    explicit FakeSigner(const consensus::Validator& v)
        : consensus_key_(v.consensus_key), vrf_key_(v.vrf_key) {}
    std::optional<CompactSig> sign(const cb::ChainIdentity& chain, const cb::Vote& vote) override {
        return fake_signature(consensus_key_, cb::vote_digest(chain, vote));
    }
    std::optional<VrfOutput> prove(BytesView alpha) override { return fake_vrf(vrf_key_, alpha); }

private:
    PublicKey consensus_key_, vrf_key_;
};

template <class Base>
class ChainChecks : public Base {
public:
    [[nodiscard]] bool is_body_of(const Header& header, BytesView body) const override {
        return header.transactions_root == body_root(body);
    }
    [[nodiscard]] bool is_plausible(const Header& parent, const Header& header) const override {
        return header.timestamp >= parent.timestamp;
    }
};

class FakeChecks : public ChainChecks<cb::Checks> {
public:
    [[nodiscard]] bool verify(const PublicKey& key, const Hash& digest,
                              const CompactSig& signature) const override {
        return fake_signature(key, digest) == signature;
    }
    [[nodiscard]] std::optional<Hash> verify_vrf(const PublicKey& key, BytesView alpha,
                                                 const vrf::Proof& proof) const override {
        const auto right = fake_vrf(key, alpha);
        return right.proof == proof ? std::optional(right.beta) : std::nullopt;
    }
};

class NoChecks final : public FakeChecks {
public:
    [[nodiscard]] bool verify(const PublicKey&, const Hash&, const CompactSig&) const override {
        return true;
    }
};

std::unique_ptr<cb::Checks> make_checks(Keys kind) {
    if (kind == Keys::real) return std::make_unique<ChainChecks<cb::RealChecks>>();
    if (kind == Keys::unchecked) return std::make_unique<NoChecks>();
    return std::make_unique<FakeChecks>();
}

SecretKey secret(size_t owner, uint8_t purpose) {
    SecretKey key;
    key[0] = purpose;
    key[31] = static_cast<uint8_t>(owner + 1);
    return key;
}

PublicKey fake_key(size_t owner, uint8_t purpose) {
    PublicKey key;
    key[0] = purpose;
    key[1] = static_cast<uint8_t>(owner + 1);
    key[9] = purpose;
    return key;
}

consensus::Validator make_validator(size_t owner, uint64_t stake_gwei, bool real) {
    const auto key = [&](uint8_t purpose) {
        return real ? *public_key(secret(owner, purpose)) : fake_key(owner, purpose);
    };
    Address address;
    address[0] = static_cast<uint8_t>(owner + 1);
    return {address, key(1), key(2), key(3), stake_gwei};
}

}  // namespace

Keyring make_keyring(const std::vector<uint64_t>& stakes_gwei, Keys kind) {
    const bool real = kind == Keys::real;
    Keyring out;
    for (size_t i = 0; i < stakes_gwei.size(); ++i) {
        out.validators.push_back(make_validator(i, stakes_gwei[i], real));
        if (real)
            out.signers.push_back(std::make_unique<cb::KeySigner>(secret(i, 1), secret(i, 2)));
        else
            out.signers.push_back(std::make_unique<FakeSigner>(out.validators[i]));
    }
    out.checks = make_checks(kind);
    return out;
}

unsigned owner_of(const consensus::Validator& validator) {
    return validator.address[0] - 1U;
}

Hash body_root(BytesView body) {
    return keccak256(body);
}

Hash state_after(const Hash& parent_state, BytesView body) {
    Bytes bytes(parent_state.begin(), parent_state.end());
    append(bytes, body);
    return keccak256(bytes);
}

}  // namespace trainyard::sim
